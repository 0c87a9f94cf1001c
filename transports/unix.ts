/** `unix:/path`: UNIX sockets that nobody else can reach, and that never steal a live one (unix-socket-file.ts). */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { defineTransport } from '../plugins/contract/index.ts';
import { findGroup, findUser } from './accounts.ts';
import { ACCEPT, connected } from './listening.ts';
import { assertPathFits, listenAt, type SocketOwner } from './unix-socket-file.ts';

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

/** The name or number of an account as numbers. A name is looked up when the socket is made, not when it is parsed. */
export async function socketOwner(address: {
  mode: number;
  user: string | undefined;
  group: string | undefined;
}): Promise<SocketOwner> {
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

export const unix = defineTransport({
  name: 'unix',
  schemes: ['unix'],
  grammar: 'unix:/PATH',
  summary: 'UNIX sockets; owner, group and mode are set before the name appears',
  options: SOCKET_FILE_OPTIONS,
  capabilities: ['half-close', 'hand-off'],

  parse: ({ target, options, resolvePath }) => ({
    path: parseSocketPath(target, resolvePath),
    mode: parseMode(options.mode),
    user: options.user,
    group: options.group,
  }),
  occupies: ({ path }) => `unix:${path}`,

  async listen(address, { accept, log, signal, folders }) {
    const owner = await socketOwner(address);
    const server = createServer(ACCEPT, (socket) =>
      accept({ stream: socket, handle: socket, peer: { address: 'unix' } }),
    );
    const { path, unpublish } = await listenAt(server, address.path, owner, { log, runtime: folders.runtime });
    const stopped = signal.aborted ? Promise.resolve() : once(signal, 'abort');
    return { address: `unix:${path}`, reach: 'local', closed: stopped.then(unpublish) };
  },

  async dial({ path }, { signal }) {
    const socket = connect({ path, signal, allowHalfOpen: true });
    await connected(socket);
    return { stream: socket, peer: { address: `unix:${path}` } };
  },
});
