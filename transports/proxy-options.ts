/** What an address says of a proxy. The transports that connect by TCP share these options. Pure. */
import type { Options } from '../plugins/contract/index.ts';
import { formatHostPort, parseHostPort, type HostPort } from './host-port.ts';

export const PROXY_OPTIONS = {
  proxy: {
    type: 'string',
    role: 'sink',
    secret: 'user-info',
    help: 'http://HOST:PORT, https://…, socks5://… (the name is resolved here) or socks5h://… (by the proxy); off: none, whatever the environment says',
  },
  'proxy-auth': {
    type: 'reference',
    role: 'sink',
    help: 'where USER:PASSWORD for the proxy is: file:PATH, env:NAME or credential:NAME',
  },
  'proxy-ca': { type: 'path', role: 'sink', help: 'file with the authorities (PEM) that sign an https:// proxy' },
} as const;

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export const NO_CREDENTIALS =
  'it wants a user and a password; put USER:PASSWORD into a file and say "proxy-auth=file:PATH", or into the variable that names the proxy';
export const WRONG_CREDENTIALS = 'it did not accept the user and the password';

const SCHEMES = ['http', 'https', 'socks5', 'socks5h'] as const;

export interface Proxy extends HostPort {
  readonly scheme: (typeof SCHEMES)[number];
  /** Those of a variable; an address has none. */
  readonly credentials?: Credentials;
  /** The variable that names it. */
  readonly from?: string;
}

/** What decides how a target is reached. */
export interface ProxyTerms {
  /** Of the target: it decides which variables count. */
  readonly scheme: 'tcp' | 'tls' | 'ws' | 'wss';
  /** Of the address; without it the environment decides. */
  readonly proxy: Proxy | 'off' | undefined;
  /** Where `USER:PASSWORD` is. */
  readonly proxyAuth: string | undefined;
  readonly proxyCa: string | undefined;
}

/** `socks5` for `socks5://…`. @throws Error that does not repeat the whole, which may hold a password */
export function parseProxyScheme(text: string): Proxy['scheme'] {
  const found = SCHEMES.find((scheme) => scheme === text.toLowerCase());
  if (found !== undefined) return found;
  throw new Error(`expected http, https, socks5 or socks5h before "://", got ${JSON.stringify(text)}`);
}

function parseProxyUrl(text: string): Proxy | 'off' {
  if (text === 'off') return 'off';
  if (text.includes('@'))
    throw new Error(
      'a user and a password have no place in an address; put USER:PASSWORD into a file and say "proxy-auth=file:PATH"',
    );
  const [, scheme, authority] = /^([^:/]+):\/\/([^/]+)\/?$/.exec(text) ?? [];
  if (scheme === undefined || authority === undefined)
    throw new Error(`expected http://HOST:PORT or off, got ${JSON.stringify(text)}`);
  return { scheme: parseProxyScheme(scheme), ...parseHostPort(authority, 'sink') };
}

/** @throws Error naming the option */
export function parseProxy(scheme: ProxyTerms['scheme'], options: Options<typeof PROXY_OPTIONS>): ProxyTerms {
  const { proxy: text, 'proxy-auth': proxyAuth, 'proxy-ca': proxyCa } = options;
  try {
    const proxy = text === undefined ? undefined : parseProxyUrl(text);
    if (proxy === 'off' && (proxyAuth ?? proxyCa) !== undefined)
      throw new Error('"off" leaves nothing for "proxy-auth" and "proxy-ca"');
    return { scheme, proxy, proxyAuth, proxyCa };
  } catch (cause) {
    throw new Error(`option "proxy": ${(cause as Error).message}`, { cause });
  }
}

/** For people, without its credentials. */
export const showProxy = ({ scheme, from, ...place }: Proxy): string =>
  `the proxy ${scheme}://${formatHostPort(place)}${from === undefined ? '' : ` (${from})`}`;
