/**
 * TLS connections: server handshakes beside each other and under a deadline, dialing with verification and pins.
 * Loaded when an address needs it: `node:tls` alone takes as long to load as all the rest of us.
 */
import type { Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { ListenContext, Protocol } from '../plugins/contract/index.ts';
import { reset, type CarrierContext, type TcpTarget } from './connecting.ts';
import { peerAddress } from './listening.ts';
import { selfSigned } from './self-signed.ts';
import { dialTcp } from './tcp-dial.ts';
import { HANDSHAKE_DEADLINE, clientOptions, explainTlsError, readKeyPair, type KeyPair } from './tls-credentials.ts';
import { secured } from './tls-handshake.ts';
import type { TlsNames } from './tls-options.ts';
import { RawSide, refuseTruncation } from './tls-truncation.ts';

/** The certificate of a source: the one it names, or our own with the pin that clients need. */
export async function sourceKeyPair(names: TlsNames, state: () => string): Promise<KeyPair & { pin?: string }> {
  if (names.cert === 'self') return selfSigned(state());
  if (names.cert === undefined || names.key === undefined) throw new Error('a source needs "cert" and "key"');
  return readKeyPair(names.cert, names.key);
}

/** A cut: the TCP connection is reset, and no close_notify is sent. */
const cut = (socket: TLSSocket, abort: () => void) => (): void => {
  abort();
  socket.destroy();
};

/** What a server's TLS socket runs on. Node has no public word for it, and only by it we know whose handshake it was. */
function carrierOf(socket: TLSSocket): unknown {
  const { _parent, _handle } = socket as { _parent?: unknown; _handle?: { _parentWrap?: { stream?: unknown } } | null };
  return _parent ?? _handle?._parentWrap?.stream; // a socket is its parent itself, any other stream is wrapped
}

const SESSION_ALPN = 'sluice/1';

/** What was agreed on by ALPN, as a field of a connection. */
export const agreed = (socket: TLSSocket): { protocol?: 'session' } =>
  socket.alpnProtocol === SESSION_ALPN ? { protocol: 'session' } : {};

/**
 * A plain peer may offer protocols too (curl: h2, http/1.1), and TLS wants one of them chosen or the connection refused.
 * http/1.1 is what one speaks who was chosen nothing.
 */
const alpnFor = (protocols: readonly Protocol[]): TlsOptions =>
  protocols.includes('session')
    ? {
        ALPNCallback: ({ protocols: offered }) =>
          [SESSION_ALPN, 'http/1.1'].find((name) => offered.includes(name)) ?? offered[0],
      }
    : {};

/** TLS's server side for one accepted socket; calls `accept` when the handshake is done. */
export function serveHandshakes(
  options: Parameters<typeof createTlsServer>[0],
  truncationIsEnd: boolean,
  { accept, log, protocols }: Pick<ListenContext, 'accept' | 'log' | 'protocols'>,
): (raw: Socket) => void {
  const deadlines = new Map<unknown, { raw: Socket; timer: NodeJS.Timeout }>();
  const settle = (socket: TLSSocket): Socket | undefined => {
    const under = carrierOf(socket);
    const pending = deadlines.get(under);
    deadlines.delete(under);
    clearTimeout(pending?.timer);
    if (under instanceof RawSide) refuseTruncation(socket, under);
    return pending?.raw;
  };
  const secure = { ...options, ...alpnFor(protocols), allowHalfOpen: true, pauseOnConnect: true };
  const server = createTlsServer(secure, (socket) => {
    const raw = settle(socket);
    if (raw === undefined) socket.destroy(new Error('a handshake that nobody began'));
    else
      accept({
        stream: socket,
        peer: { address: peerAddress(raw) },
        abort: cut(socket, reset(raw)),
        ...agreed(socket),
      });
  });
  server.on('tlsClientError', (error, socket) => {
    const raw = settle(socket);
    raw?.destroy();
    log.debug('handshake failed', { peer: raw && peerAddress(raw), reason: error.message });
  });
  return (raw) => {
    const under = truncationIsEnd ? raw : new RawSide(raw);
    under.on('error', () => {});
    const timer = setTimeout(() => raw.destroy(), HANDSHAKE_DEADLINE);
    under.once('close', () => {
      clearTimeout(timer);
      deadlines.delete(under);
    });
    deadlines.set(under, { raw, timer });
    server.emit('connection', under);
  };
}

export interface TlsDialAddress extends TlsNames, TcpTarget {
  readonly truncationIsEnd: boolean;
}

/** Connects, verifies and pins: a socket on which no byte has passed yet. Also what `wss` runs on. */
export async function dialTls(
  address: TlsDialAddress,
  context: CarrierContext,
  protocols: readonly Protocol[] = [],
): Promise<{ socket: TLSSocket; abort: () => void }> {
  const options = await clientOptions(address, address.host);
  const { socket: raw, abort } = await dialTcp(address, context);
  const under = address.truncationIsEnd ? raw : new RawSide(raw);
  const offer = protocols.includes('session') ? { ALPNProtocols: [SESSION_ALPN, 'http/1.1'] } : {};
  const socket = connectTls({ ...options, ...offer, socket: under });
  if (under instanceof RawSide) socket.once('secureConnect', () => refuseTruncation(socket, under)); // before any byte
  await secured(socket, raw, address, explainTlsError);
  return { socket, abort: cut(socket, abort) };
}
