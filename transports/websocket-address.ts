/** What `ws`, `wss` and `ws+unix` addresses say: options, place and path. Pure. */
import { TRUST_OPTIONS, parseTrusted } from './proxy-trust.ts';
import type { ParseInput } from '../plugins/contract/index.ts';
import { formatHostPort, parseHostPort, type HostPort } from './host-port.ts';
import { parseProxy, type PROXY_OPTIONS, type ProxyTerms } from './proxy-options.ts';
import type { TlsNames } from './tls-options.ts';

export const HTTP_OPTIONS = {
  ...TRUST_OPTIONS,
  proxied: {
    type: 'choice',
    values: ['header', 'protocol'],
    default: 'header',
    role: 'source',
    help: 'how trusted proxies tell where a connection comes from: X-Forwarded-For, or the PROXY protocol',
  },
  ping: {
    type: 'duration',
    default: 20_000,
    help: 'time between pings; proxies cut what is silent for 30 to 60 s; 0s for none',
  },
  origin: { type: 'list', role: 'source', help: 'web origin that may connect, as https://host; none may by default' },
  header: { type: 'list', role: 'sink', secret: true, help: '"Name: value" to send with the request; may be repeated' },
  query: {
    type: 'string',
    role: 'sink',
    secret: true,
    help: 'query for the far web server, percent-encoded once more',
  },
} as const;

/** Where the HTTP server is. */
type Place =
  | ({ readonly kind: 'tcp' } & HostPort & ProxyTerms)
  | {
      readonly kind: 'unix';
      readonly path: string;
      readonly mode: number;
      readonly user: string | undefined;
      readonly group: string | undefined;
    };

export interface WebSocketAddress {
  readonly scheme: 'ws' | 'wss';
  readonly place: Place;
  readonly path: string;
  readonly tls: TlsNames | undefined;
  readonly ping: number;
  readonly origins: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly query: string;
  /** Proxies whose word counts on where a connection comes from. */
  readonly trusted: readonly string[];
  readonly proxied: 'header' | 'protocol';
}

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
export function parseHttp({ options }: ParseInput<typeof HTTP_OPTIONS>, path: string) {
  if (/[#?]/.test(path)) throw new Error('a path holds no "?" or "#"; a query goes into the option "query"');
  const headers = parseHeaders(options.header);
  return {
    path: path === '' ? '/' : path,
    ping: options.ping,
    trusted: parseTrusted(options),
    proxied: options.proxied,
    origins: options.origin,
    headers,
    query: options.query ?? '',
  };
}

/** `HOST:PORT/PATH`; a sink may leave the port out, as in any URL. */
export function splitTarget(
  { target, role, options }: Pick<ParseInput<typeof PROXY_OPTIONS>, 'target' | 'role' | 'options'>,
  scheme: 'ws' | 'wss',
): { place: Place; path: string } {
  const slash = target.indexOf('/');
  const authority = slash < 0 ? target : target.slice(0, slash);
  const hasPort = role === 'source' || /:\d*$/.test(authority);
  const whole = hasPort ? authority : `${authority}:${scheme === 'ws' ? 80 : 443}`;
  return {
    place: { kind: 'tcp', ...parseHostPort(whole, role), ...parseProxy(scheme, options) },
    path: slash < 0 ? '/' : target.slice(slash),
  };
}

/** Where the address's server listens, as one text; links with the same share it. */
export const placeOf = ({ place }: WebSocketAddress): string =>
  place.kind === 'unix' ? `unix:${place.path}` : formatHostPort(place);
