/**
 * `ws://`, `wss://` and `ws+unix:`: one stream a WebSocket. Several links may share one host:port by their paths.
 * Here is what the three schemes are; websocket-address.ts reads them, websocket-listen.ts and websocket-dial.ts work.
 */
import { defineTransport, type OptionSpecs, type ParseInput, type Transport } from '../plugins/contract/index.ts';
import { formatHostPort } from './host-port.ts';
import { inspectProxy, reachThrough, viaOf } from './proxy-environment.ts';
import { PROXY_OPTIONS } from './proxy-options.ts';
import { reachBehind } from './proxy-trust.ts';
import { TLS_OPTIONS, parseTlsNames, provenBy } from './tls-options.ts';
import { SOCKET_FILE_OPTIONS, parseMode, parseSocketPath } from './unix-options.ts';
import { inspectUnixPeers } from './unix-peer.ts';
import { HTTP_OPTIONS, parseHttp, placeOf, splitTarget, type WebSocketAddress } from './websocket-address.ts';

/** One transport for each scheme: they differ in grammar and options, and in what is below the WebSocket. */
function webSocket<const S extends OptionSpecs>(
  scheme: string,
  texts: { grammar: string; summary: string },
  options: S,
  more: Pick<Transport, 'encrypts'>,
  parse: (input: ParseInput<S>) => WebSocketAddress,
) {
  return defineTransport<WebSocketAddress, S>({
    contract: 1,
    name: scheme,
    schemes: [scheme],
    ...texts,
    options,
    capabilities: ['half-close', 'proves-end', 'tells-cut'],
    negotiates: true,
    showsToken: true,
    ...more,
    caveats: [`over ${scheme} a plain WebSocket peer cannot end one direction by itself: its close ends both`],
    parse,
    reach: ({ place, trusted }) => reachBehind(trusted, place.kind === 'unix' ? 'local' : reachThrough(place)),
    via: ({ place }) => (place.kind === 'unix' ? undefined : viaOf(place)),
    occupies: (address) =>
      address.place.kind === 'tcp' && address.place.port === 0
        ? undefined
        : `web server ${placeOf(address)}, path ${address.path}`,
    proves: ({ tls, place }) => (tls === undefined ? (place.kind === 'unix' ? ['uid', 'gid'] : []) : provenBy(tls)),
    async inspect({ tls, place }, role, proofs = []) {
      if (place.kind === 'tcp') {
        const ofTls = tls === undefined ? [] : await (await import('./tls-credentials.ts')).inspectTls(tls);
        return [...ofTls, ...(await inspectProxy(place, role))];
      }
      if (role === 'sink') return [];
      const { inspectSocketFile } = await import('./unix-socket-file.ts');
      return [...(await inspectSocketFile(place)), ...(await inspectUnixPeers(proofs))];
    },
    listen: async (address, context) => (await import('./websocket-listen.ts')).listenWebSocket(address, context),

    async dial(address, context) {
      const { dialWebSocket } = await import('./websocket-dial.ts');
      const { stream, isPlain, isSession } = await dialWebSocket(address, context);
      if (isPlain)
        context.log.info('the far side is a plain WebSocket server: an end is a close, and closes both directions');
      const peer = { address: showAddress(scheme, address) };
      return { stream, peer, abort: (reason) => stream.abort(reason), ...(isSession && { protocol: 'session' }) };
    },
  });
}

const showAddress = (scheme: string, { place, path }: WebSocketAddress): string =>
  place.kind === 'unix' ? `${scheme}:${place.path}:${path}` : `${scheme}://${formatHostPort(place)}${path}`;

export const ws = webSocket(
  'ws',
  { grammar: 'ws://HOST:PORT/PATH', summary: 'WebSocket without encryption: for loopback, or behind a proxy' },
  { ...HTTP_OPTIONS, ...PROXY_OPTIONS },
  {},
  (input) => {
    const { place, path } = splitTarget(input, 'ws');
    return { scheme: 'ws', place, tls: undefined, ...parseHttp(input, path) };
  },
);

export const wss = webSocket(
  'wss',
  { grammar: 'wss://HOST:PORT/PATH', summary: 'WebSocket over TLS 1.3: passes wherever https does' },
  { ...HTTP_OPTIONS, ...TLS_OPTIONS, ...PROXY_OPTIONS },
  { encrypts: true },
  (input) => {
    const { place, path } = splitTarget(input, 'wss');
    return { scheme: 'wss', place, tls: parseTlsNames(input), ...parseHttp(input, path) };
  },
);

export const wsUnix = webSocket(
  'ws+unix',
  { grammar: 'ws+unix:/SOCKET:/PATH', summary: 'WebSocket over a UNIX socket: behind nginx on the same machine' },
  { ...HTTP_OPTIONS, ...SOCKET_FILE_OPTIONS },
  {},
  (input) => {
    const at = input.target.lastIndexOf(':/');
    if (at < 1) throw new Error('expected the socket and the path with a colon between them');
    const { mode, user, group } = input.options;
    const path = parseSocketPath(input.target.slice(0, at), input.resolvePath);
    const place = { kind: 'unix', path, mode: parseMode(mode), user, group } as const;
    return { scheme: 'ws', place, tls: undefined, ...parseHttp(input, input.target.slice(at + 1)) };
  },
);
