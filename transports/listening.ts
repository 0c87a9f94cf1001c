/** What every listener over `node:net` does: bind, survive, stop on a signal, tell when it is gone. */
import { once } from 'node:events';
import type { ListenOptions, Server, Socket } from 'node:net';
import type { Log } from '../plugins/contract/index.ts';

/** Half-open, so that an end is only an end; paused, so that no byte is read before the core has decided who reads. */
export const ACCEPT = { allowHalfOpen: true, pauseOnConnect: true } as const;

/** Connections that the kernel may hold for us: its own cap (`net.core.somaxconn`) is 4096. */
export const BACKLOG = 4096;

/** Resolves bound, rejects if it cannot be. After that a failing accept is logged, and listening goes on. */
export async function bind(server: Server, where: ListenOptions, log: Log): Promise<void> {
  server.listen({ backlog: BACKLOG, ...where });
  await once(server, 'listening');
  server.on('error', (error) => log.warn('accept failed', { reason: error.message }));
}

/** Closes when the signal comes: no more accepts at once; resolves when the port is free. */
export async function closedBy(server: Server, signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
  server.close(); // its own `close` waits for connections, which are not the listener's any more
}

/** `10.0.0.7:51234`, or `unix` where a peer has no name. */
export const peerAddress = (socket: Socket): string =>
  socket.remoteAddress === undefined
    ? 'unix'
    : `${socket.remoteAddress.includes(':') ? `[${socket.remoteAddress}]` : socket.remoteAddress}:${socket.remotePort}`;

/** Small writes leave at once (borg 2 waits for every request), and a dead peer is found in the end. */
export function tune(socket: Socket, keepalive: number): Socket {
  socket.setNoDelay(true);
  socket.setKeepAlive(keepalive > 0, keepalive);
  return socket;
}
