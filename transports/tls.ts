/** `tls://HOST:PORT`: TLS 1.3 over TCP. Handshakes run beside each other and under a deadline. */
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { defineTransport, type Inbound, type Log } from '../plugins/contract/index.ts';
import { boundHostPort, formatHostPort, parseHostPort, reachOf, type HostPort } from './host-port.ts';
import { ACCEPT, bind, closedBy, connected, peerAddress } from './listening.ts';
import { selfSigned } from './self-signed.ts';
import { TCP_OPTIONS, tune } from './tcp.ts';
import {
  HANDSHAKE_DEADLINE,
  TLS_OPTIONS,
  checkPins,
  clientOptions,
  explainTlsError,
  inspectTls,
  parseTlsNames,
  readKeyPair,
  serverOptions,
  type KeyPair,
  type TlsNames,
} from './tls-credentials.ts';
import { RawSide, refuseTruncation } from './tls-truncation.ts';

/** The certificate of a source: the one it names, or our own with the pin that clients need. */
export async function sourceKeyPair(names: TlsNames, state: () => string): Promise<KeyPair & { pin?: string }> {
  if (names.cert === 'self') return selfSigned(state());
  if (names.cert === undefined || names.key === undefined) throw new Error('a source needs "cert" and "key"');
  return readKeyPair(names.cert, names.key);
}

/** What a client of a `cert=self` source would dial: a name instead of 0.0.0.0, and the pin. */
export function pinnedAddress(scheme: string, host: string, port: number, path: string, pin: string): string {
  const name = host === '0.0.0.0' || host === '::' ? hostname() : host;
  return `${scheme}://${formatHostPort({ host: name, port })}${path}?pin=${pin}`;
}

/** A cut: the TCP connection is reset, and no close_notify is sent. */
const cut = (socket: TLSSocket, raw: Socket) => (): void => {
  raw.resetAndDestroy();
  socket.destroy();
};

/** TLS's server side for one accepted socket; calls `accept` when the handshake is done. */
function serveHandshakes(
  options: Parameters<typeof createTlsServer>[0],
  truncationIsEnd: boolean,
  { accept, log }: { accept: (inbound: Inbound) => void; log: Log },
): (raw: Socket) => void {
  const deadlines = new Map<unknown, { raw: Socket; timer: NodeJS.Timeout }>();
  const settle = (socket: TLSSocket): Socket | undefined => {
    const under: unknown = (socket as { _parent?: unknown })._parent; // the only way to know whose handshake it was
    const pending = deadlines.get(under);
    deadlines.delete(under);
    clearTimeout(pending?.timer);
    if (under instanceof RawSide) refuseTruncation(socket, under);
    return pending?.raw;
  };
  const server = createTlsServer({ ...options, allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    const raw = settle(socket);
    if (raw === undefined) socket.destroy(new Error('a handshake that nobody began'));
    else accept({ stream: socket, peer: { address: peerAddress(raw) }, abort: cut(socket, raw) });
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

export const tls = defineTransport({
  name: 'tls',
  schemes: ['tls'],
  grammar: 'tls://HOST:PORT',
  summary: 'TLS 1.3; the server is verified, clients too where the source has a ca',
  options: {
    ...TLS_OPTIONS,
    ...TCP_OPTIONS,
    truncation: {
      type: 'choice',
      values: ['cut', 'end'],
      default: 'cut',
      help: 'what a peer that closes without close_notify has done; "end" is faster and for peers that never send one',
    },
  },
  capabilities: ['half-close', 'proves-end', 'tells-cut'],

  parse: (input) => ({
    ...parseHostPort(input.target, input.role),
    ...parseTlsNames(input),
    keepalive: input.options.keepalive,
    truncationIsEnd: input.options.truncation === 'end',
  }),
  occupies: (address) => (address.port === 0 ? undefined : `tcp ${formatHostPort(address)}`),
  inspect: (address) => inspectTls(address),

  async listen(address, { accept, log, signal, folders }) {
    const { pin, ...pair } = await sourceKeyPair(address, () => folders.state);
    const options = await serverOptions(address, pair);
    const handshake = serveHandshakes(options, address.truncationIsEnd, { accept, log });
    const server = createServer(ACCEPT, (raw) => handshake(tune(raw, address.keepalive)));
    await bind(server, { host: address.host, port: address.port }, log);
    const bound = boundHostPort(server.address() as AddressInfo);
    return {
      address: `tls://${formatHostPort(bound)}`,
      ...(pin === undefined ? {} : { dial: pinnedAddress('tls', bound.host, bound.port, '', pin) }),
      reach: reachOf(bound.host),
      closed: closedBy(server, signal),
    };
  },

  async dial(address, { signal }) {
    const { socket, raw } = await dialTls(address, signal);
    return { stream: socket, peer: { address: `tls://${formatHostPort(address)}` }, abort: cut(socket, raw) };
  },
});

export interface TlsDialAddress extends TlsNames, HostPort {
  readonly keepalive: number;
  readonly truncationIsEnd: boolean;
}

/** Connects, verifies and pins: a socket on which no byte has passed yet. Also what `wss` runs on. */
export async function dialTls(
  address: TlsDialAddress,
  signal: AbortSignal,
): Promise<{ socket: TLSSocket; raw: Socket }> {
  const { host, port } = address;
  const options = await clientOptions(address, host);
  const raw = connectTcp({ host, port, signal, allowHalfOpen: true });
  await connected(raw);
  tune(raw, address.keepalive);
  const under = address.truncationIsEnd ? raw : new RawSide(raw);
  const socket = connectTls({ ...options, socket: under });
  if (under instanceof RawSide) refuseTruncation(socket, under);
  await secured(socket, raw, address);
  return { socket, raw };
}

/** Waits for the handshake, and checks the pins before any byte. Frees everything if either fails. */
async function secured(socket: TLSSocket, raw: Socket, names: TlsNames): Promise<void> {
  const done = Promise.withResolvers<void>();
  socket.on('error', done.reject);
  socket.once('close', () => done.reject(new Error('closed during the handshake')));
  socket.once('secureConnect', () => {
    try {
      checkPins(names, socket);
      done.resolve();
    } catch (error) {
      done.reject(error);
    }
  });
  raw.on('error', done.reject);
  try {
    await done.promise;
  } catch (error) {
    socket.destroy();
    raw.destroy();
    throw explainTlsError(error);
  }
}
