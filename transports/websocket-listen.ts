/** The source side of WebSockets: links share one server a place. Loaded when a link needs it, as `node:http` is slow to load. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { TlsOptions } from 'node:tls';
import type { Folders, ListenContext, Listener } from '../plugins/contract/index.ts';
import { boundHostPort, formatHostPort, reachOf, type HostPort } from './host-port.ts';
import { bind } from './listening.ts';
import { pinnedAddress, type TlsNames } from './tls-options.ts';
import { socketOwner } from './unix-options.ts';
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
  close(): Promise<void>;
}

/** Hosts by place: the first link opens one, the last closes it. */
const hosts = new Map<string, Promise<SharedHost>>();

/** What the server of a `wss` source needs, and the pin of a certificate that we made. */
async function readTls(tls: TlsNames, folders: Folders): Promise<{ options: TlsOptions; pin: string | undefined }> {
  const [{ serverOptions }, { sourceKeyPair }] = await Promise.all([
    import('./tls-credentials.ts'),
    import('./tls-connection.ts'),
  ]);
  const pair = await sourceKeyPair(tls, () => folders.state);
  return { options: await serverOptions(tls, pair), pin: pair.pin };
}

async function openHost({ tls, place }: WebSocketAddress, { log, folders }: ListenContext): Promise<SharedHost> {
  const secure = tls && (await readTls(tls, folders));
  const host = WebSocketHost.create(secure?.options);
  const shared = { host, credentials: JSON.stringify(tls ?? null), pin: secure?.pin };
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

export async function listenWebSocket(address: WebSocketAddress, context: ListenContext): Promise<Listener> {
  const { key, shared } = await shareHost(address, context);
  const { accept, log, signal } = context;
  shared.host.add(address.path, {
    origins: address.origins,
    subprotocols: subprotocolsFor(context.protocols),
    log,
    admit: context.admit,
    accept(upgraded, subprotocol, peer, admitted) {
      const isSession = subprotocol === SESSION_SUBPROTOCOL;
      const marked = isSession || subprotocol === BYTES_SUBPROTOCOL;
      const stream = new WebSocketStream(upgraded, { marked, ping: address.ping });
      if (!marked) log.info('a plain WebSocket peer: an end is a close, and closes both directions', { peer });
      const protocol = isSession && ({ protocol: 'session' } as const);
      accept({ stream, peer: { address: peer }, abort: (reason) => stream.abort(reason), ...protocol, ...admitted });
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
