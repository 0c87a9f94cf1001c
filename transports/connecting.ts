/** Connecting a socket, and what a TCP connection is to those who dial one (tcp-dial.ts). */
import { connect, type Socket, type TcpNetConnectOpts, type IpcNetConnectOpts } from 'node:net';
import type { DialContext } from '../plugins/contract/index.ts';
import type { HostPort } from './host-port.ts';
import type { ProxyTerms } from './proxy-options.ts';

/**
 * RST: the peer sees a reset, and cannot take it for an end. While our end is still being sent libuv refuses it, and Node
 * then forgets the handle, which stays open for ever; such a socket is closed.
 */
export const reset = (socket: Socket) => (): void => {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
};

/**
 * Resolves with a connected socket, half-open and with an error listener that stays. A signal that has fired already must
 * not reach `connect`: Node destroys such a socket, and then connects it all the same.
 */
export async function connectSocket(
  where: TcpNetConnectOpts | IpcNetConnectOpts,
  signal: AbortSignal,
): Promise<Socket> {
  signal.throwIfAborted();
  const socket = connect({ ...where, signal, allowHalfOpen: true });
  const connecting = Promise.withResolvers<void>();
  socket.once('connect', connecting.resolve);
  socket.on('error', connecting.reject);
  socket.once('close', () => connecting.reject(new Error('closed while connecting')));
  await connecting.promise;
  return socket;
}

/** What a dial by TCP needs to know of its address. */
export interface TcpTarget extends HostPort, ProxyTerms {
  /** ms. */
  readonly keepalive: number;
  /** Bytes that come before all others: a header of the PROXY protocol. */
  readonly preface?: Buffer;
}

/** A TCP connection, or one that stands for it: made by a proxy, inside TLS to that proxy. */
export interface Carrier {
  readonly socket: Socket;
  /** Cuts it as hard as TCP can tell. */
  readonly abort: () => void;
}

/** What dialing asks of the context. */
export type CarrierContext = Pick<DialContext, 'signal' | 'readSecret'>;
