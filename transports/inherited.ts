/**
 * `fd:N` and `systemd:NAME`: sockets that whoever started us has opened. A listening one (`Accept=no`) gives many
 * connections, a connected one (`Accept=yes`, inetd) gives itself, once. Which it is, the kernel tells: only a
 * socket that is not connected can listen.
 */
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { defineTransport, type Inbound, type ListenContext, type Listener } from '../plugins/contract/index.ts';
import { boundHostPort, formatHostPort, reachOf } from './host-port.ts';
import { receive, type Arrived } from './arrivals.ts';
import { ACCEPT, BACKLOG, closedBy } from './listening.ts';
import { reset } from './connecting.ts';
import { unixPeers, type UnixPeers } from './unix-peer.ts';

/** systemd passes descriptors from 3 on. */
const FIRST = 3;

const toInbound = ({ raw, peer, arrival }: Arrived, peers: UnixPeers): Inbound => {
  const isTcp = raw.remoteAddress !== undefined;
  return {
    stream: raw,
    handle: raw,
    peer: { address: peer },
    arrival,
    ...(isTcp ? { abort: reset(raw) } : peers.credentials(raw)),
  };
};

/** Only a connection takes a write, even of no bytes. `server.listen` would tell too, but closes what cannot listen. */
function isConnection(fd: number): boolean {
  try {
    writeSync(fd, Buffer.alloc(0));
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EBADF') throw new Error(`descriptor ${fd} is not open`, { cause: error });
    return code === 'ECONNRESET'; // it was one: a listening socket says ENOTCONN (UNIX) or EPIPE (TCP)
  }
}

async function acceptFrom(fd: number, name: string, context: ListenContext): Promise<Listener> {
  const { accept, log, signal } = context;
  const peers = await unixPeers(context.proofs);
  const server = createServer(
    ACCEPT,
    receive(context, (arrived) => accept(toInbound(arrived, peers))),
  );
  server.listen({ fd, backlog: BACKLOG });
  await once(server, 'listening');
  server.on('error', (error) => log.warn('accept failed', { reason: error.message }));
  const info = server.address();
  const isTcp = info !== null && typeof info === 'object'; // null is an inherited UNIX socket
  const where = isTcp ? ` (${formatHostPort(boundHostPort(info))})` : '';
  return {
    address: `${name}${where}`,
    reach: isTcp ? reachOf(info.address) : 'local',
    renew: peers.renew,
    closed: closedBy(server, signal),
  };
}

async function acceptOnce(fd: number, name: string, context: ListenContext): Promise<Listener> {
  const peers = await unixPeers(context.proofs);
  const socket = openConnection(fd);
  const { localAddress } = socket;
  const take = receive(context, (arrived) => context.accept(toInbound(arrived, peers)));
  setImmediate(() => take(socket));
  return {
    address: `${name} (a connection)`,
    reach: localAddress === undefined ? 'local' : reachOf(localAddress),
    servesOnce: true,
    closed: new Promise((resolve) => setImmediate(resolve)),
  };
}

/** Not read yet: early bytes are for whoever gets the socket in the end, which may be a command. */
function openConnection(fd: number): Socket {
  const options = { fd, allowHalfOpen: true, pauseOnCreate: true }; // the last is what `pauseOnConnect` is made of
  return new Socket(options).on('error', () => {});
}

const listenOn = async (fd: number, name: string, context: ListenContext): Promise<Listener> =>
  isConnection(fd) ? acceptOnce(fd, name, context) : acceptFrom(fd, name, context);

/** The descriptor that systemd passes under a name, or the only one. */
function findDescriptor(name: string, environment: NodeJS.ProcessEnv): number {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' } = environment;
  const count = Number(LISTEN_FDS ?? 0);
  if (!(count > 0))
    throw new Error('systemd passed no sockets (LISTEN_FDS is not set); start this by its .socket unit');
  if (LISTEN_PID !== undefined && Number(LISTEN_PID) !== process.pid && Number(LISTEN_PID) !== process.ppid) {
    throw new Error(`the sockets in LISTEN_FDS are meant for process ${LISTEN_PID}`);
  }
  const names = LISTEN_FDNAMES === '' ? [] : LISTEN_FDNAMES.split(':');
  const at = name === '' && count === 1 ? 0 : names.indexOf(name);
  if (at >= 0 && at < count) return FIRST + at;
  throw new Error(
    `systemd passed no socket named "${name}"; it passed ${count}: ${names.join(', ') || 'without names'}`,
  );
}

export const fd = defineTransport({
  contract: 1,
  name: 'fd',
  schemes: ['fd'],
  grammar: 'fd:N',
  summary: 'an inherited descriptor: a listening socket, or one connection',
  options: {},
  capabilities: ['half-close', 'hand-off'],

  parse({ target }) {
    if (!/^\d{1,6}$/.test(target))
      throw new Error(`expected the number of a descriptor, got ${JSON.stringify(target)}`);
    return { fd: Number(target) };
  },
  proves: () => ['uid', 'gid'],
  occupies: (address) => `descriptor ${address.fd}`,
  listen: (address, context) => listenOn(address.fd, `fd:${address.fd}`, context),
});

export const systemd = defineTransport({
  contract: 1,
  name: 'systemd',
  schemes: ['systemd'],
  grammar: 'systemd:NAME',
  summary: 'a socket that systemd passes, by its FileDescriptorName; Accept=no and Accept=yes',
  options: {},
  capabilities: ['half-close', 'hand-off'],

  parse: ({ target }) => ({ name: target }),
  proves: () => ['uid', 'gid'],
  occupies: ({ name }) => `systemd:${name}`,
  listen: async ({ name }, context) => listenOn(findDescriptor(name, process.env), `systemd:${name}`, context),
});
