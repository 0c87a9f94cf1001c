/** The sink side of WebSockets: a carrier is dialed, then upgraded. Loaded when a link needs it, as `node:http` is slow to load. */
import { connect, type Socket } from 'node:net';
import { WebSocket, type ClientOptions } from 'ws';
import { formatHostPort } from './host-port.ts';
import { connected, tune } from './listening.ts';
import type { WebSocketAddress } from './websocket-address.ts';
import { BYTES_SUBPROTOCOL, MESSAGE_LIMITS, WebSocketStream } from './websocket-stream.ts';

const KEEPALIVE = 15_000;

/** The socket below: TCP, TLS (verified and pinned before the first byte) or UNIX. */
async function dialCarrier({ place, tls }: WebSocketAddress, signal: AbortSignal): Promise<Socket> {
  if (place.kind === 'tcp' && tls !== undefined) {
    const { dialTls } = await import('./tls-connection.ts');
    const { socket } = await dialTls({ ...tls, ...place, keepalive: KEEPALIVE, truncationIsEnd: true }, signal);
    return socket;
  }
  const where = place.kind === 'unix' ? { path: place.path } : { host: place.host, port: place.port };
  const socket = connect({ ...where, signal, allowHalfOpen: true });
  await connected(socket);
  return place.kind === 'tcp' ? tune(socket, KEEPALIVE) : socket;
}

const REMEDIES: Readonly<Record<number, string>> = {
  401: 'the server wants credentials',
  403: 'the server does not allow it',
  404: 'there is no such path on the server',
  426: 'the server wants another version of WebSocket',
};

/** Upgrades a connected socket; resolves with the WebSocket and whether the peer knows our end mark. */
async function upgrade(
  socket: Socket,
  address: WebSocketAddress,
  signal: AbortSignal,
): Promise<{ ws: WebSocket; marked: boolean }> {
  const done = Promise.withResolvers<void>();
  const authority = address.place.kind === 'unix' ? 'localhost' : formatHostPort(address.place);
  const query = address.query === '' ? '' : `?${address.query}`;
  const options: ClientOptions = { ...MESSAGE_LIMITS, headers: address.headers, createConnection: () => socket };
  const ws = new WebSocket(
    `${address.scheme}://${authority}${encodeURI(address.path)}${query}`,
    [BYTES_SUBPROTOCOL],
    options,
  );
  let marked = false;
  ws.on('error', done.reject);
  ws.once('open', () => {
    ws.pause(); // its first messages may have come with the upgrade: they wait for the stream that reads them
    done.resolve();
  });
  ws.once('upgrade', ({ headers }) => {
    marked = headers['sec-websocket-protocol'] === BYTES_SUBPROTOCOL;
    headers['sec-websocket-protocol'] ??= BYTES_SUBPROTOCOL; // a server may choose none (RFC 6455 §4.1), which ws takes for an error
  });
  ws.once('unexpected-response', (_request, { statusCode = 0 }) => {
    done.reject(
      new Error(
        `the server answered ${statusCode} instead of an upgrade${REMEDIES[statusCode] ? `: ${REMEDIES[statusCode]}` : ''}`,
      ),
    );
  });
  const giveUp = (): void => done.reject(signal.reason);
  signal.addEventListener('abort', giveUp);
  try {
    await done.promise;
    return { ws, marked };
  } catch (error) {
    ws.terminate();
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

/** An open WebSocket as a stream. */
export async function dialWebSocket(
  address: WebSocketAddress,
  signal: AbortSignal,
): Promise<{ stream: WebSocketStream; marked: boolean }> {
  const { ws, marked } = await upgrade(await dialCarrier(address, signal), address, signal);
  const stream = new WebSocketStream(ws, { marked, ping: address.ping });
  if (!marked) stream.once('end', () => stream.destroy()); // a plain server's close: it takes no more bytes either
  return { stream, marked };
}
