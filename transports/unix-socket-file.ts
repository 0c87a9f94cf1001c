/**
 * The file of a listening UNIX socket: made so that nobody else can connect, not even for an instant; never taken
 * from a live owner; removed on every way out, and only if it is still ours.
 *
 * 1. The folder is resolved once. It and its ancestors must belong to root or to us; the folder itself must not be
 *    writable by others, ancestors may be if they are sticky (/tmp).
 * 2. A lock (`flock` on a file named by the hash of the path) makes one owner of those that start at the same time.
 * 3. Whatever stands at the path is looked at: a live socket or anything that is no socket is left alone, and we fail;
 *    a stale socket is replaced.
 * 4. The socket is bound inside a private folder (0700) beside the path, given its owner, then its mode, then renamed
 *    to its place. The umask, which is the whole process's, is never touched.
 * 5. To stop: the path is removed if its inode is still ours; the listener closes 50 ms later, so that a successor
 *    that renamed over it loses no connection of its backlog; the lock goes last.
 *
 * Loaded when a link listens: a dial needs none of it.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import * as fs from 'node:fs';
import { once } from 'node:events';
import { connect, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bind } from './listening.ts';
import type { Log } from '../plugins/contract/index.ts';
import { assertPathFits, socketOwner, type SocketFile, type SocketOwner } from './unix-options.ts';

const GRACE = 50;
/** Bytes that the private folder's name adds to the path while binding. */
const PRIVATE_PREFIX = '.sl-';
const PRIVATE_NAME = '.sl-XXXXXX/s';

/** Node's own `listen` cannot bind what it would have to truncate; a private folder adds a few bytes to the path. */
function assertBindable(path: string): void {
  assertPathFits(path);
  assertPathFits(join(dirname(path), PRIVATE_NAME));
}

const lstat = (path: string): fs.Stats | undefined => fs.lstatSync(path, { throwIfNoEntry: false });

function assertFolder(folder: string, isParent: boolean): void {
  const found = fs.statSync(folder);
  const uid = process.getuid?.() ?? 0;
  if (found.uid !== 0 && found.uid !== uid) {
    throw new Error(`${folder} belongs to user ${found.uid}, who could replace the socket; use a folder of your own`);
  }
  const writable = (found.mode & 0o022) !== 0;
  const sticky = (found.mode & 0o1000) !== 0;
  if (writable && (isParent || !sticky)) {
    const remedy = isParent ? `make a folder for it: mkdir -m 755 ${join(folder, 'sluice')}` : `chmod go-w ${folder}`;
    throw new Error(`${folder} can be written by others, who could replace the socket; ${remedy}`);
  }
}

/** The path with its folder resolved, whose every ancestor is safe. */
function resolveParent(path: string): string {
  let folder: string;
  try {
    folder = fs.realpathSync(dirname(path));
  } catch (cause) {
    throw new Error(`there is no folder ${dirname(path)}; make it first`, { cause });
  }
  assertFolder(folder, true);
  for (let above = dirname(folder); above !== dirname(above); above = dirname(above)) assertFolder(above, false);
  return join(folder, basename(path));
}

/** Takes the lock of a path: it belongs to the open file, so it is ours until the descriptor is closed, or we die. */
function lock(path: string, folder: string, log: Log): number {
  const name = createHash('sha256').update(path).digest('hex').slice(0, 32);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  const fd = fs.openSync(join(folder, `${name}.lock`), flags, 0o600);
  const { status, error } = spawnSync('flock', ['-n', '-x', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
  if (error) log.warn('no lock: the program "flock" (util-linux) is missing', { path });
  else if (status !== 0) {
    fs.closeSync(fd);
    throw new Error('another sluice listens there');
  }
  return fd;
}

/** Refused means that nobody listens; a full backlog (EAGAIN) is alive. */
async function isLive(path: string): Promise<boolean> {
  const probe = connect({ path });
  try {
    await once(probe, 'connect');
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ECONNREFUSED' || code === 'ENOENT') return false;
    if (code === 'EAGAIN') return true;
    throw error;
  } finally {
    probe.destroy();
  }
}

async function assertFree(path: string, log: Log): Promise<void> {
  const found = lstat(path);
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error('something that is not a socket stands there; it is left alone');
  if (await isLive(path)) throw new Error('another program listens there; it is left alone');
  log.info('a stale socket is replaced', { path });
}

const PRIVATE_FOLDER = /^\.sl-[A-Za-z0-9]{6}$/;

/** Removes the private folders that a crashed bind of ours has left beside the path: made by us, old, and as we make them. */
function sweep(folder: string): void {
  for (const name of fs.readdirSync(folder)) {
    const path = join(folder, name);
    const found = PRIVATE_FOLDER.test(name) ? lstat(path) : undefined;
    if (!found?.isDirectory() || found.uid !== process.getuid?.() || Date.now() - found.mtimeMs < 10_000) continue;
    try {
      const inside = fs.readdirSync(path);
      if (inside.length === 1 && lstat(join(path, 's'))?.isSocket()) fs.unlinkSync(join(path, 's'));
      fs.rmdirSync(path);
    } catch {
      // not empty, so not ours; or another gateway that starts now was faster
    }
  }
}

/** Binds in a private folder, then moves the socket to its place with its owner and mode. */
async function publish(server: Server, path: string, owner: SocketOwner, log: Log): Promise<number> {
  const folder = fs.mkdtempSync(join(dirname(path), PRIVATE_PREFIX));
  const hidden = join(folder, 's');
  try {
    await bind(server, { path: hidden }, log);
    if (owner.uid !== undefined || owner.gid !== undefined) fs.chownSync(hidden, owner.uid ?? -1, owner.gid ?? -1);
    fs.chmodSync(hidden, owner.mode); // after the owner: changing that may clear bits
    const { ino } = fs.lstatSync(hidden);
    fs.renameSync(hidden, path);
    return ino;
  } catch (error) {
    if (server.listening) server.close();
    fs.rmSync(hidden, { force: true });
    throw error;
  } finally {
    fs.rmdirSync(folder);
  }
}

/** What removes the files that are published now; one listener for all, however many they are. */
const published = new Set<() => void>();

function removeAtExit(remove: () => void): void {
  if (published.size === 0 && !process.listeners('exit').includes(removeAll)) process.once('exit', removeAll);
  published.add(remove);
}

function removeAll(): void {
  for (const remove of published) {
    try {
      remove();
    } catch {
      // the folder has become read-only, or somebody else's: the next start finds the socket stale
    }
  }
}

/** What would keep a socket from being made there, found without making it. */
export async function inspectSocketFile(address: SocketFile): Promise<string[]> {
  const checks = [async () => resolveParent(address.path), async () => socketOwner(address)];
  const results = await Promise.allSettled(checks.map((check) => check()));
  return results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as Error).message] : []));
}

export interface PublishedSocket {
  readonly path: string;
  /** Removes the file if it is still ours, and closes the listener. Does not wait for its connections. */
  unpublish(): Promise<void>;
}

/** Listens at `path`. The caller owns the server before and after; what lies in the file system is owned by the result. */
export async function listenAt(
  server: Server,
  path: string,
  owner: SocketOwner,
  { log, runtime }: { log: Log; runtime: string },
): Promise<PublishedSocket> {
  assertBindable(path);
  const real = resolveParent(path);
  assertBindable(real);
  const held = lock(real, runtime, log);
  let ino: number;
  try {
    await assertFree(real, log);
    sweep(dirname(real));
    ino = await publish(server, real, owner, log);
  } catch (error) {
    fs.closeSync(held);
    throw error;
  }
  const remove = (): void => {
    if (lstat(real)?.ino === ino) fs.unlinkSync(real);
  };
  removeAtExit(remove);
  return {
    path: real,
    async unpublish() {
      published.delete(remove);
      try {
        remove();
        await sleep(GRACE);
      } finally {
        server.close();
        fs.closeSync(held);
      }
    },
  };
}
