/** Where the tests' borg 2 is, and what makes it. Debian has none yet, so it comes from PyPI into the user's cache. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

function pinnedVersion(): string {
  const [, version] = readFileSync(join(import.meta.dirname, 'borg2.txt'), 'utf8').match(/^borgbackup==(\S+)/m) ?? [];
  if (version === undefined) throw new Error('test/provision/borg2.txt does not pin borgbackup');
  return version;
}

/** By the XDG specification a relative path there is no path. */
function cacheFolder(): string {
  const given = process.env['XDG_CACHE_HOME'] ?? '';
  return isAbsolute(given) ? given : join(homedir(), '.cache');
}

/** A virtual environment, which cannot be moved: it is built where it stays. */
export const BORG2_FOLDER = join(cacheFolder(), 'sluice-test', `borg2-${pinnedVersion()}`);

const SCRIPT = join(import.meta.dirname, 'borg2.sh');

/** Succeeds if borg 2 is there, whole and of the pinned versions. */
export const CHECK_BORG2: readonly [string, ...string[]] = ['sh', SCRIPT, '--check', BORG2_FOLDER];

export const MAKE_BORG2: readonly [string, ...string[]] = ['sh', SCRIPT, BORG2_FOLDER];
