/** Where this user's files belong, by the XDG base directories and by what systemd sets for a service. */
import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SluiceError } from './errors.ts';
import { baseDirectory, baseOrHome } from './xdg.ts';
import type { Folders } from '../plugins/contract/index.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Makes the folder, for this user only, and refuses one that somebody else put there. */
function privateFolder(path: string, uid: number): string {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const found = lstatSync(path);
  if (found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0) return path;
  throw new SluiceError('SLUICE_LISTEN', `${path} must be a folder that belongs to you and that only you can write`);
}

function runtimeBase(environment: Environment, uid: number): string {
  const [own] = (environment['RUNTIME_DIRECTORY'] ?? '').split(':');
  if (own) return own;
  const base = baseDirectory(environment, 'XDG_RUNTIME_DIR') ?? (uid === 0 ? '/run' : undefined);
  return base === undefined ? join(tmpdir(), `sluice-${uid}`) : join(base, 'sluice');
}

/** Where the state folder is, or would be; nothing is made. */
export function stateBase(environment: Environment): string {
  const [own] = (environment['STATE_DIRECTORY'] ?? '').split(':');
  return own || join(baseOrHome(environment, 'XDG_STATE_HOME', '.local/state'), 'sluice');
}

/** Folders are made when first asked for, so that a command that needs none leaves none. */
export function createFolders(environment: Environment): Folders {
  const uid = process.getuid?.() ?? 0; // a container's user may have no name, and no entry to look up
  return {
    get runtime() {
      return privateFolder(runtimeBase(environment, uid), uid);
    },
    get state() {
      return privateFolder(stateBase(environment), uid);
    },
  };
}
