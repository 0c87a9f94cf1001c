/** The sink side of WebSockets: a carrier is dialed, then upgraded. Loaded when a link needs it, as `node:http` is slow to load. */
import type { Socket } from 'node:net';
import type { ClientOptions } from 'ws';
import type { DialContext } from '../plugins/contract/index.ts';
import { connectSocket, type CarrierContext } from './connecting.ts';
import { formatHostPort } from './host-port.ts';
import { dialTcp } from './tcp-dial.ts';
import type { WebSocketAddress } from './websocket-address.ts';
import {
  BYTES_SUBPROTOCOL,
  SESSION_SUBPROTOCOL,
  WebSocketStream,
  subprotocolsFor,
  type Upgraded,
} from './websocket-stream.ts';
import { UpgradedWebSocket } from './websocket-upgrade.ts';

const KEEPALIVE = 15_000;

/** The socket below: TCP, TLS (verified and pinned before the first byte) or UNIX. */
async function dialCarrier({ place, tls }: WebSocketAddress, context: CarrierContext): Promise<Socket> {
  if (place.kind === 'unix') return connectSocket({ path: place.path }, context.signal);
  const target = { ...place, keepalive: KEEPALIVE };
  if (tls === undefined) return (await dialTcp(target, context)).socket;
  const { dialTls } = await import('./tls-connection.ts');
  return (await dialTls({ ...tls, ...target, truncationIsEnd: true }, context)).socket;
}

const NO_TOKEN =
  'it wants a token; say where it is: "token=file:PATH" in the address, "token:" of the host, or SLUICE_TOKEN_FILE';

const REMEDIES: Readonly<Record<number, string>> = {
  403: 'it does not allow it',
  404: 'there is no such path on the server',
  426: 'the server wants another version of WebSocket',
};

/** Node's words for a server that closes instead of answering; over TLS it would have been told as a TLS error. */
const explainHangUp = (error: Error, { scheme }: WebSocketAddress): Error =>
  error.message === 'socket hang up'
    ? new Error(`the server closed without an answer${scheme === 'ws' ? '; does it speak wss?' : ''}`, { cause: error })
    : error;

/** @throws Error for two credentials: which of them counted would be the server's choice, and nobody's intention */
function headersOf({ headers }: WebSocketAddress, token: string | undefined): Record<string, string> {
  if (token === undefined) return { ...headers };
  if (Object.keys(headers).some((name) => name.toLowerCase() === 'authorization'))
    throw new Error('there is a token and a header "Authorization"; leave one of them out');
  return { ...headers, authorization: `Bearer ${token}` };
}

/** Upgrades a connected socket; resolves with it and the subprotocol that the server chose, if any. */
async function upgrade(
  socket: Socket,
  address: WebSocketAddress,
  subprotocols: readonly string[],
  { signal, token }: Pick<DialContext, 'signal' | 'token'>,
): Promise<{ upgraded: Upgraded; chosen: string | undefined }> {
  const done = Promise.withResolvers<Upgraded>();
  const authority = address.place.kind === 'unix' ? 'localhost' : formatHostPort(address.place);
  const query = address.query === '' ? '' : `?${address.query}`;
  const options: ClientOptions = {
    perMessageDeflate: false,
    headers: headersOf(address, token),
    createConnection: () => socket,
  };
  const url = `${address.scheme}://${authority}${encodeURI(address.path)}${query}`;
  const ws = new UpgradedWebSocket(url, [...subprotocols], options);
  let chosen: string | undefined;
  ws.on('error', (error) => done.reject(explainHangUp(error, address)));
  ws.once('open', () => ws.upgraded && done.resolve({ ...ws.upgraded, isClient: true }));
  ws.once('upgrade', ({ headers }) => {
    chosen = headers['sec-websocket-protocol'];
    headers['sec-websocket-protocol'] ??= BYTES_SUBPROTOCOL; // a server may choose none (RFC 6455 §4.1), which ws takes for an error
  });
  ws.once('unexpected-response', (_request, { statusCode = 0 }) => {
    const remedy =
      statusCode === 401
        ? `: ${token === undefined ? NO_TOKEN : 'it did not accept the token'}`
        : REMEDIES[statusCode]
          ? `: ${REMEDIES[statusCode]}`
          : '';
    const error = new Error(`the server answered ${statusCode} instead of an upgrade${remedy}`);
    done.reject(Object.assign(error, { final: statusCode === 401 || statusCode === 403 }));
  });
  const giveUp = (): void => done.reject(signal.reason);
  signal.addEventListener('abort', giveUp);
  try {
    return { upgraded: await done.promise, chosen };
  } catch (error) {
    ws.terminate();
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

/** An open WebSocket as a stream. A plain one knows neither our end mark nor the session. */
export async function dialWebSocket(
  address: WebSocketAddress,
  context: Pick<DialContext, 'protocols' | 'signal' | 'token' | 'readSecret'>,
): Promise<{ stream: WebSocketStream; isPlain: boolean; isSession: boolean }> {
  const subprotocols = subprotocolsFor(context.protocols);
  const carrier = await dialCarrier(address, context);
  const { upgraded, chosen } = await upgrade(carrier, address, subprotocols, context);
  const isPlain = chosen === undefined || !subprotocols.includes(chosen);
  const isPrivate = !isPlain && address.tls !== undefined;
  const stream = new WebSocketStream(upgraded, { marked: !isPlain, ping: address.ping, isPrivate });
  if (isPlain) stream.once('end', () => stream.destroy()); // a plain server's close: it takes no more bytes either
  return { stream, isPlain, isSession: chosen === SESSION_SUBPROTOCOL };
}
