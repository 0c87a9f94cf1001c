/**
 * `npm run demo [-- FOLDER]`: backs up real files through a WebSocket with borg, brings them back, and compares them.
 * Where borg is missing it installs nothing, and does the same with tar. Nothing is left behind, on Ctrl-C neither.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { basename, delimiter, dirname, join, resolve } from 'node:path';
import { backupWithBorg } from './borg.ts';
import { assertSame, readTree, type Backup } from './files.ts';
import { files, seconds, show, size } from './show.ts';
import { Stage } from './stage.ts';
import { backupWithTar } from './tar.ts';

const PROJECT = dirname(import.meta.dirname);

/** Real files that everybody has who runs this; without Node itself, which would double them. */
const OWN_FILES: Backup = { parent: PROJECT, name: 'node_modules', leftOut: 'node_modules/node' };

function chosen(argument: string | undefined): Backup {
  if (argument === undefined) return OWN_FILES;
  const folder = resolve(process.env['INIT_CWD'] ?? process.cwd(), argument);
  return { parent: dirname(folder), name: basename(folder) };
}

function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Aborts when the user or the system wants the demo to stop. */
function watchSignals(): AbortSignal {
  const stop = new AbortController();
  for (const [name, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.on(name, () => {
      process.exitCode = status;
      stop.abort(new Error(`stopped by ${name}; everything is cleaned up`));
    });
  }
  return stop.signal;
}

/** From the first line to the last but one. @returns bytes that went through the WebSocket */
async function play(stage: Stage, backup: Backup, hasBorg: boolean): Promise<number> {
  const original = await readTree(backup);
  show.title(
    `Sluice carries a ${hasBorg ? 'borg' : 'tar'} backup of ${join(backup.parent, backup.name)} ` +
      `(${files(original.hashes.size)}, ${size(original.bytes)}) through a WebSocket.`,
  );
  const restored = await (hasBorg ? backupWithBorg : backupWithTar)(stage, backup, original);
  assertSame(original, await readTree({ parent: restored, name: backup.name }));
  show.result(`SHA-256 of all ${files(original.hashes.size)}: equal`);
  return stage.carried;
}

async function demo(stopped: AbortSignal): Promise<void> {
  const begin = performance.now();
  const hasBorg = isInstalled('borg');
  if (!hasBorg) show.note('borg is not installed here, so tar does the same (apt-get install borgbackup brings it).\n');
  const stage = new Stage(stopped);
  let carried: number;
  try {
    carried = await play(stage, chosen(process.argv[2]), hasBorg);
  } finally {
    await stage.strike();
  }
  const time = seconds(performance.now() - begin);
  show.summary(`Done in ${time}: ${size(carried)} went through the WebSocket, and nothing is left behind.`);
}

if (!existsSync(join(PROJECT, 'dist/sluice.js'))) {
  show.failure('Sluice is not built yet: npm ci does it.');
  process.exitCode = 1;
} else {
  const stopped = watchSignals();
  try {
    await demo(stopped);
  } catch (error) {
    process.exitCode ??= 1;
    const reason: unknown = stopped.aborted ? stopped.reason : error;
    show.failure(reason instanceof Error ? reason.message : String(reason));
  }
}
