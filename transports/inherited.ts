/**
 * `fd:N` and `systemd:NAME`: sockets that whoever started us has opened. A listening one (`Accept=no`) gives many
 * connections, a connected one (`Accept=yes`, inetd) gives itself, once. Which it is, the kernel tells: only a
 * socket that is not connected can listen.
 */
import { once } from 'node:events';
import { createServer, Socket, type Server } from 'node:net';
import { defineTransport, type Inbound, type ListenContext, type Listener } from '../plugins/contract/index.ts';
import { boundHostPort, formatHostPort, reachOf } from './host-port.ts';
import { ACCEPT, BACKLOG, closedBy, peerAddress } from './listening.ts';
import { reset } from './tcp.ts';

/** systemd passes descriptors from 3 on. */
const FIRST = 3;

const toInbound = (socket: Socket): Inbound => {
  const isTcp = socket.remoteAddress !== undefined;
  return {
    stream: socket,
    handle: socket,
    peer: { address: peerAddress(socket) },
    ...(isTcp && { abort: reset(socket) }),
  };
};

async function tryListen(server: Server, fd: number): Promise<boolean> {
  server.listen({ fd, backlog: BACKLOG });
  try {
    await once(server, 'listening');
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EBADF') throw new Error(`descriptor ${fd} is not open`, { cause: error });
    return false;
  }
}

async function listenOn(fd: number, name: string, { accept, log, signal }: ListenContext): Promise<Listener> {
  const server = createServer(ACCEPT, (socket) => accept(toInbound(socket)));
  if (await tryListen(server, fd)) {
    server.on('error', (error) => log.warn('accept failed', { reason: error.message }));
    const info = server.address();
    const isTcp = info !== null && typeof info === 'object'; // null is an inherited UNIX socket
    const where = isTcp ? ` (${formatHostPort(boundHostPort(info))})` : '';
    return {
      address: `${name}${where}`,
      reach: isTcp ? reachOf(info.address) : 'local',
      closed: closedBy(server, signal),
    };
  }
  const socket = openConnection(fd);
  const { localAddress } = socket;
  setImmediate(() => accept(toInbound(socket)));
  const closed = new Promise<void>((resolve) => setImmediate(resolve));
  return {
    address: `${name} (a connection)`,
    reach: localAddress === undefined ? 'local' : reachOf(localAddress),
    closed,
  };
}

function openConnection(fd: number): Socket {
  const socket = new Socket({ fd, allowHalfOpen: true });
  socket.on('error', () => {});
  return socket;
}

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
  occupies: (address) => `descriptor ${address.fd}`,
  listen: (address, context) => listenOn(address.fd, `fd:${address.fd}`, context),
});

export const systemd = defineTransport({
  name: 'systemd',
  schemes: ['systemd'],
  grammar: 'systemd:NAME',
  summary: 'a socket that systemd passes, by its FileDescriptorName; Accept=no and Accept=yes',
  options: {},
  capabilities: ['half-close', 'hand-off'],

  parse: ({ target }) => ({ name: target }),
  occupies: ({ name }) => `systemd:${name}`,
  listen: async ({ name }, context) => listenOn(findDescriptor(name, process.env), `systemd:${name}`, context),
});
