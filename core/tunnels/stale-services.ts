/** Folders of services (within-reach.ts) that gateways have left behind because they were killed. */
import { lstat, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { reasonOf } from '../errors.ts';
import type { CoreLog } from '../log.ts';

/** How the folders are called, and a socket that stands in each: no service can have its name. */
export const PREFIX = 'sluice-services-';
export const SESSIONS = '.sessions';

/** ms after which a folder without a socket is nobody's: it is made within an instant. */
const GRACE = 60_000;

/** What came of connecting to a socket. */
const knock = (path: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
  });

/** Whether a folder is one of ours whose gateway is gone. */
async function isStale(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  if (!found?.isDirectory() || found.uid !== process.getuid?.()) return false;
  const answer = await knock(join(path, SESSIONS));
  return answer === 'ECONNREFUSED' || (answer === 'ENOENT' && Date.now() - found.ctimeMs > GRACE);
}

/** Takes away what gateways of ours that were killed have left behind. */
export async function removeStale(log: CoreLog): Promise<void> {
  const names = await readdir(tmpdir());
  for (const path of names.filter((name) => name.startsWith(PREFIX)).map((name) => join(tmpdir(), name))) {
    if (!(await isStale(path))) continue;
    try {
      await rm(path, { recursive: true, force: true });
      log.warn('removed what a killed gateway had left', { path });
    } catch (error) {
      log.warn('what a killed gateway had left cannot be removed', { path, reason: reasonOf(error) });
    }
  }
}
