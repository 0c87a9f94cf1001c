/** `ws://`, `wss://` and `ws+unix:`: one stream a WebSocket. Several links may share one host:port by their paths. */
import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { ClientOptions, WebSocket } from 'ws';
import {
  defineTransport,
  type ListenContext,
  type Listener,
  type OptionSpecs,
  type ParseInput,
} from '../plugins/contract/index.ts';
import { boundHostPort, formatHostPort, parseHostPort, reachOf, type HostPort } from './host-port.ts';
import { bind, connected } from './listening.ts';
import { tune } from './tcp.ts';
import { dialTls, pinnedAddress, sourceKeyPair } from './tls.ts';
import { TLS_OPTIONS, inspectTls, parseTlsNames, serverOptions, type TlsNames } from './tls-credentials.ts';
import { SOCKET_FILE_OPTIONS, parseMode, parseSocketPath, socketOwner } from './unix.ts';
import { listenAt } from './unix-socket-file.ts';
import { MESSAGE_LIMITS, WebSocketHost } from './websocket-host.ts';
import { BYTES_SUBPROTOCOL, WebSocketStream } from './websocket-stream.ts';

const HTTP_OPTIONS = {
  ping: {
    type: 'duration',
    default: 20_000,
    help: 'time between pings; proxies cut what is silent for 30 to 60 s; 0s for none',
  },
  origin: { type: 'list', role: 'source', help: 'web origin that may connect, as https://host; none may by default' },
  header: { type: 'list', role: 'sink', help: '"Name: value" to send with the request; may be repeated' },
  query: { type: 'string', role: 'sink', help: 'query for the far web server, percent-encoded once more' },
} as const;

/** Where the HTTP server is. */
type Place =
  | ({ readonly kind: 'tcp' } & HostPort)
  | {
      readonly kind: 'unix';
      readonly path: string;
      readonly mode: number;
      readonly user: string | undefined;
      readonly group: string | undefined;
    };

interface WebSocketAddress {
  readonly scheme: 'ws' | 'wss';
  readonly place: Place;
  readonly path: string;
  readonly tls: TlsNames | undefined;
  readonly ping: number;
  readonly origins: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly query: string;
}

const KEEPALIVE = 15_000;

function parseHeaders(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const match = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\t\x20-\x7e]*)$/.exec(line);
      if (match?.[1] === undefined)
        throw new Error(`option "header": expected "Name: value", got ${JSON.stringify(line)}`);
      return [match[1], match[2] ?? ''];
    }),
  );
}

/** What the three schemes have in common. */
function parseHttp({ options }: ParseInput<typeof HTTP_OPTIONS>, path: string) {
  if (/[#?]/.test(path)) throw new Error('a path holds no "?" or "#"; a query goes into the option "query"');
  const headers = parseHeaders(options.header);
  return {
    path: path === '' ? '/' : path,
    ping: options.ping,
    origins: options.origin,
    headers,
    query: options.query ?? '',
  };
}

/** `HOST:PORT/PATH`. */
function splitTarget(target: string, role: 'source' | 'sink'): { place: Place; path: string } {
  const slash = target.indexOf('/');
  const authority = slash < 0 ? target : target.slice(0, slash);
  return { place: { kind: 'tcp', ...parseHostPort(authority, role) }, path: slash < 0 ? '/' : target.slice(slash) };
}

/** Where the address's server listens, as one text; links with the same share it. */
const placeOf = ({ place }: WebSocketAddress): string =>
  place.kind === 'unix' ? `unix:${place.path}` : formatHostPort(place);

interface SharedHost {
  readonly host: WebSocketHost;
  readonly credentials: string;
  readonly address: string;
  readonly bound: HostPort | undefined;
  readonly pin: string | undefined;
  close(): Promise<void>;
}

/** Hosts by place: the first link opens one, the last closes it. */
const hosts = new Map<string, Promise<SharedHost>>();

async function openHost({ tls, place }: WebSocketAddress, { log, folders }: ListenContext): Promise<SharedHost> {
  const pair = tls && (await sourceKeyPair(tls, () => folders.state));
  const host = await WebSocketHost.create(tls && pair && (await serverOptions(tls, pair)));
  const shared = { host, credentials: JSON.stringify(tls ?? null), pin: pair?.pin };
  if (place.kind === 'unix') {
    const { path, unpublish } = await listenAt(host.server, place.path, await socketOwner(place), {
      log,
      runtime: folders.runtime,
    });
    return { ...shared, address: path, bound: undefined, close: unpublish };
  }
  await bind(host.server, { host: place.host, port: place.port }, log);
  const bound = boundHostPort(host.server.address() as AddressInfo);
  const close = async (): Promise<void> => void host.server.close();
  return { ...shared, address: formatHostPort(bound), bound, close };
}

/** The host of an address, opened if it is the first there. Port 0 is never shared. */
async function shareHost(
  address: WebSocketAddress,
  context: ListenContext,
): Promise<{ key: string; shared: SharedHost }> {
  const isUnshared = address.place.kind === 'tcp' && address.place.port === 0;
  const key = isUnshared ? `${placeOf(address)} ${crypto.randomUUID()}` : placeOf(address);
  const opening = hosts.get(key) ?? openHost(address, context);
  hosts.set(key, opening);
  try {
    const shared = await opening;
    if (shared.credentials === JSON.stringify(address.tls ?? null)) return { key, shared };
    throw new Error(`another link on ${key} has a different scheme, cert, key or ca; links on one port share them`);
  } catch (error) {
    if (hosts.get(key) === opening && (await opening.catch(() => undefined)) === undefined) hosts.delete(key);
    throw error;
  }
}

async function listen(address: WebSocketAddress, context: ListenContext): Promise<Listener> {
  const { key, shared } = await shareHost(address, context);
  const { accept, log, signal } = context;
  shared.host.add(address.path, {
    origins: address.origins,
    log,
    accept(ws, peer) {
      const marked = ws.protocol === BYTES_SUBPROTOCOL;
      const stream = new WebSocketStream(ws, { marked, ping: address.ping });
      if (!marked) log.info('a plain WebSocket peer: an end is a close, and closes both directions', { peer });
      accept({ stream, peer: { address: peer }, abort: (reason) => stream.abort(reason) });
    },
  });
  const closed = async (): Promise<void> => {
    if (!signal.aborted) await once(signal, 'abort');
    shared.host.remove(address.path);
    if (!shared.host.isUnused) return;
    hosts.delete(key);
    await shared.close();
  };
  const { bound, pin } = shared;
  return {
    address: bound
      ? `${address.scheme}://${shared.address}${address.path}`
      : `ws+unix:${shared.address}:${address.path}`,
    ...(bound && pin ? { dial: pinnedAddress('wss', bound.host, bound.port, address.path, pin) } : {}),
    reach: bound ? reachOf(bound.host) : 'local',
    closed: closed(),
  };
}

/** The socket below: TCP, TLS (verified and pinned before the first byte) or UNIX. */
async function dialCarrier({ place, tls }: WebSocketAddress, signal: AbortSignal): Promise<Socket> {
  if (place.kind === 'tcp' && tls !== undefined) {
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
  const { WebSocket: Client } = await import('ws');
  const done = Promise.withResolvers<void>();
  const authority = address.place.kind === 'unix' ? 'localhost' : formatHostPort(address.place);
  const query = address.query === '' ? '' : `?${address.query}`;
  const options: ClientOptions = { ...MESSAGE_LIMITS, headers: address.headers, createConnection: () => socket };
  const ws = new Client(
    `${address.scheme}://${authority}${encodeURI(address.path)}${query}`,
    [BYTES_SUBPROTOCOL],
    options,
  );
  let marked = false;
  ws.on('error', done.reject);
  ws.once('open', done.resolve);
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

/** One transport for each scheme: they differ in grammar and options, and in what is below the WebSocket. */
function webSocket<const S extends OptionSpecs>(
  scheme: string,
  texts: { grammar: string; summary: string },
  options: S,
  parse: (input: ParseInput<S>) => WebSocketAddress,
) {
  return defineTransport<WebSocketAddress, S>({
    name: scheme,
    schemes: [scheme],
    ...texts,
    options,
    capabilities: ['half-close', 'proves-end', 'tells-cut'],
    caveats: [`over ${scheme} a plain WebSocket peer cannot end one direction by itself: its close ends both`],
    parse,
    occupies: (address) =>
      placeOf(address).endsWith(':0') ? undefined : `web server ${placeOf(address)}, path ${address.path}`,
    inspect: async ({ tls }) => (tls === undefined ? [] : inspectTls(tls)),
    listen,

    async dial(address, { signal, log }) {
      const socket = await dialCarrier(address, signal);
      const { ws, marked } = await upgrade(socket, address, signal);
      const stream = new WebSocketStream(ws, { marked, ping: address.ping });
      if (!marked) log.info('the far side is a plain WebSocket server: an end is a close, and closes both directions');
      const peer = {
        address: `${scheme}:${address.place.kind === 'unix' ? `${address.place.path}:` : `//${formatHostPort(address.place)}`}${address.path}`,
      };
      return { stream, peer, abort: (reason) => stream.abort(reason) };
    },
  });
}

export const ws = webSocket(
  'ws',
  { grammar: 'ws://HOST:PORT/PATH', summary: 'WebSocket without encryption: for loopback, or behind a proxy' },
  HTTP_OPTIONS,
  (input) => {
    const { place, path } = splitTarget(input.target, input.role);
    return { scheme: 'ws', place, tls: undefined, ...parseHttp(input, path) };
  },
);

export const wss = webSocket(
  'wss',
  { grammar: 'wss://HOST:PORT/PATH', summary: 'WebSocket over TLS 1.3: passes wherever https does' },
  { ...HTTP_OPTIONS, ...TLS_OPTIONS },
  (input) => {
    const { place, path } = splitTarget(input.target, input.role);
    return { scheme: 'wss', place, tls: parseTlsNames(input), ...parseHttp(input, path) };
  },
);

export const wsUnix = webSocket(
  'ws+unix',
  { grammar: 'ws+unix:/SOCKET:/PATH', summary: 'WebSocket over a UNIX socket: behind nginx on the same machine' },
  { ...HTTP_OPTIONS, ...SOCKET_FILE_OPTIONS },
  (input) => {
    const at = input.target.lastIndexOf(':/');
    if (at < 1) throw new Error('expected the socket and the path with a colon between them');
    const { mode, user, group } = input.options;
    const path = parseSocketPath(input.target.slice(0, at), input.resolvePath);
    const place = { kind: 'unix', path, mode: parseMode(mode), user, group } as const;
    return { scheme: 'ws', place, tls: undefined, ...parseHttp(input, input.target.slice(at + 1)) };
  },
);
