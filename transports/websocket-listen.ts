/** The source side of WebSockets: links share one server a place. Loaded when a link needs it, as `node:http` is slow to load. */
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import type { ListenContext, Listener } from '../plugins/contract/index.ts';
import { receive, type Proxied } from './arrivals.ts';
import { parseTrust, reachBehind, type Trust } from './proxy-trust.ts';
import { boundHostPort, formatHostPort, reachOf, type HostPort } from './host-port.ts';
import { bind } from './listening.ts';
import { pinnedAddress } from './tls-options.ts';
import { socketOwner } from './unix-options.ts';
import { unixPeers } from './unix-peer.ts';
import { listenAt } from './unix-socket-file.ts';
import { placeOf, type WebSocketAddress } from './websocket-address.ts';
import { WebSocketHost } from './websocket-host.ts';
import { BYTES_SUBPROTOCOL, SESSION_SUBPROTOCOL, WebSocketStream, subprotocolsFor } from './websocket-stream.ts';

interface SharedHost {
  readonly host: WebSocketHost;
  readonly credentials: string;
  readonly address: string;
  readonly bound: HostPort | undefined;
  readonly pin: string | undefined;
  /** Of its links: what any of them asks for is asked of everybody who comes. */
  readonly contexts: Set<ListenContext>;
  renew(): Promise<() => void>;
  close(): Promise<void>;
}

/** Hosts by place: the first link opens one, the last closes it. */
const hosts = new Map<string, Promise<SharedHost>>();

/** What the first link of a host says; `proofs` are those of all its links. */
type HostContext = Pick<ListenContext, 'log' | 'folders' | 'arrive' | 'proofs'>;

type Unbound = Pick<SharedHost, 'host' | 'pin' | 'renew'>;

/** What links on one port must say alike. */
const termsOf = ({ tls, trusted, proxied }: WebSocketAddress): string =>
  JSON.stringify([tls ?? null, trusted, proxied]);

/** Whose header is believed on this connection. */
const trustOf = ({ trust, by }: Proxied, raw: Socket): Trust | undefined =>
  by === 'header' && trust?.includes(raw.remoteAddress) ? trust : undefined;

/** WebSockets over plain sockets. */
async function plainHost(context: HostContext, proxied: Proxied): Promise<Unbound> {
  const peers = await unixPeers(context.proofs);
  const host = new WebSocketHost(
    receive(
      context,
      ({ raw, peer, arrival, isProxied }) => {
        const trust = trustOf(proxied, raw);
        const own = trust === undefined && !isProxied ? peers.credentials(raw) : {}; // a proxy's user is not the client
        host.welcome(raw, { peer, arrival, credentials: {}, ...own, trust });
        if (isProxied) raw.resume(); // its header was read from it, after which it does not start by itself
      },
      proxied,
    ),
  );
  return { host, pin: undefined, renew: peers.renew };
}

/** WebSockets over TLS. */
async function secureHost(
  tls: NonNullable<WebSocketAddress['tls']>,
  context: HostContext,
  proxied: Proxied,
): Promise<Unbound> {
  const [{ TlsServer }, { readSource, renewal }] = await Promise.all([
    import('./tls-serve.ts'),
    import('./tls-connection.ts'),
  ]);
  const { credentials, pin } = await readSource(tls, context);
  const secure = new TlsServer(credentials, {
    more: { ALPNProtocols: ['http/1.1'] },
    truncationIsEnd: true, // WebSocket has an end of its own
    log: context.log,
    secured: ({ socket, raw, peer, arrival, certificate }) =>
      host.welcome(socket, {
        peer,
        arrival,
        credentials: certificate ? { certificate } : {},
        trust: trustOf(proxied, raw),
      }),
  });
  const host = new WebSocketHost(receive(context, (arrived) => secure.handshake(arrived), proxied));
  return { host, pin, renew: renewal(tls, context, secure) };
}

async function openHost(address: WebSocketAddress, first: ListenContext): Promise<SharedHost> {
  const { tls, place, trusted, proxied: by } = address;
  const { log, folders } = first;
  const proxied = { trust: parseTrust(trusted), by };
  const contexts = new Set([first]);
  const context = { ...first, proofs: () => [...contexts].flatMap(({ proofs }) => proofs()) };
  const unbound = tls === undefined ? await plainHost(context, proxied) : await secureHost(tls, context, proxied);
  const { server } = unbound.host;
  const shared = { ...unbound, contexts, credentials: termsOf(address) };
  if (place.kind === 'unix') {
    const { path, unpublish } = await listenAt(server, place.path, await socketOwner(place), {
      log,
      runtime: folders.runtime,
    });
    return { ...shared, address: path, bound: undefined, close: unpublish };
  }
  await bind(server, { host: place.host, port: place.port }, log);
  const bound = boundHostPort(server.address() as AddressInfo);
  const close = async (): Promise<void> => void server.close();
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
    if (shared.credentials === termsOf(address)) return { key, shared };
    throw new Error(
      `another link on ${key} has another scheme, cert, key, ca or trusted-proxies; links on one port share them`,
    );
  } catch (error) {
    if (hosts.get(key) === opening && (await opening.catch(() => undefined)) === undefined) hosts.delete(key);
    throw error;
  }
}

export async function listenWebSocket(address: WebSocketAddress, context: ListenContext): Promise<Listener> {
  const { key, shared } = await shareHost(address, context);
  const { accept, log, signal } = context;
  if (!shared.contexts.has(context)) {
    shared.contexts.add(context);
    (await shared.renew())();
  }
  shared.host.add(address.path, {
    origins: address.origins,
    subprotocols: subprotocolsFor(context.protocols),
    log,
    admit: context.admit,
    accept(upgraded, subprotocol, { peer, arrival, credentials }) {
      const isSession = subprotocol === SESSION_SUBPROTOCOL;
      const marked = isSession || subprotocol === BYTES_SUBPROTOCOL;
      const stream = new WebSocketStream(upgraded, { marked, ping: address.ping });
      if (!marked) log.info('a plain WebSocket peer: an end is a close, and closes both directions', { peer });
      const protocol = isSession && ({ protocol: 'session' } as const);
      accept({
        stream,
        peer: { address: peer },
        abort: (reason) => stream.abort(reason),
        ...protocol,
        arrival,
        credentials,
      });
    },
  });
  const closed = async (): Promise<void> => {
    if (!signal.aborted) await once(signal, 'abort');
    shared.host.remove(address.path);
    shared.contexts.delete(context);
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
    reach: reachBehind(address.trusted, bound ? reachOf(bound.host) : 'local'),
    renew: shared.renew,
    closed: closed(),
  };
}
