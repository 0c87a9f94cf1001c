/** Paths, owners and modes of UNIX sockets, as `unix` and `ws+unix` take them. */
import { findGroup, findUser } from './accounts.ts';

/** Bytes. 108 with the closing NUL on Linux; Node 22 binds a truncated, different name beyond it, without a word. */
const LONGEST_PATH = 107;
export interface SocketOwner {
  readonly mode: number;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

export const SOCKET_FILE_OPTIONS = {
  mode: { type: 'string', role: 'source', default: '0600', help: 'who may connect, in octal; connecting needs write' },
  user: { type: 'string', role: 'source', help: 'owner of the socket, by name or number' },
  group: { type: 'string', role: 'source', help: 'group of the socket, by name or number' },
} as const;

export function parseMode(text: string): number {
  if (!/^0?[0-7]{3}$/.test(text))
    throw new Error(`option "mode": expected octal such as 0660, got ${JSON.stringify(text)}`);
  return Number.parseInt(text, 8);
}

/** A socket's file as an address asks for it. */
export interface SocketFile {
  readonly path: string;
  readonly mode: number;
  readonly user: string | undefined;
  readonly group: string | undefined;
}

/** The name or number of an account as numbers. A name is looked up when the socket is made, not when it is parsed. */
export async function socketOwner(address: Omit<SocketFile, 'path'>): Promise<SocketOwner> {
  const account = address.user === undefined ? undefined : await findUser(address.user);
  const gid = address.group === undefined ? account?.gid : await findGroup(address.group);
  return { mode: address.mode, uid: account?.uid, gid };
}

/** @throws Error for what cannot be the path of a socket. */
export function parseSocketPath(target: string, resolvePath: (path: string) => string): string {
  if (target === '') throw new Error('there is no path');
  if (target.startsWith('@')) throw new Error('abstract sockets have no owner; a plugin "abstract" is to serve them');
  const path = resolvePath(target);
  assertPathFits(path);
  return path;
}

/** @throws Error if the path is too long, in bytes, to be a socket's. */
export function assertPathFits(path: string): void {
  const length = Buffer.byteLength(path);
  if (length > LONGEST_PATH) {
    throw new Error(`the path is ${length} bytes long and the system takes ${LONGEST_PATH}; use a shorter folder`);
  }
}
