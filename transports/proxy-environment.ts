/**
 * Through which proxy a target is reached: the one of its address, or else the one of the environment by the rules of curl,
 * which are those that people write their variables for. HTTP_PROXY does not count, but for its lower case: a web server
 * sets it for its programs from a header of whoever asks.
 */
import { BlockList, isIP } from 'node:net';
import { parseHostPort, reachOfHost, type HostPort } from './host-port.ts';
import { parseProxyScheme, showProxy, type Credentials, type Proxy, type ProxyTerms } from './proxy-options.ts';

const EVERYTHING = ['all_proxy', 'ALL_PROXY'];
const SECURE = ['https_proxy', 'HTTPS_PROXY', ...EVERYTHING];

const VARIABLES: Readonly<Record<ProxyTerms['scheme'], readonly string[]>> = {
  tcp: EVERYTHING,
  tls: SECURE,
  ws: ['http_proxy', ...EVERYTHING],
  wss: SECURE,
};

/** curl's own. */
const usualPort = (scheme: Proxy['scheme']): number => (scheme === 'https' ? 443 : 1080);

function parseCredentials(userInfo: string): Credentials {
  const [, user = '', password = ''] = /^([^:]*):?(.*)$/s.exec(userInfo) ?? [];
  try {
    return { user: decodeURIComponent(user), password: decodeURIComponent(password) };
  } catch {
    throw new Error('its user or password is not percent-encoded UTF-8; write a percent sign as %25');
  }
}

/** @throws Error that does not show credentials */
function parseVariable(name: string, value: string): Proxy {
  const [, scheme = 'http', userInfo, authority = ''] =
    /^(?:([^:/@]+):\/\/)?(?:(.*)@)?([^@/]*)(?:\/.*)?$/s.exec(value.trim()) ?? [];
  try {
    const known = parseProxyScheme(scheme);
    const hasPort = /:\d*$/.test(authority);
    return {
      scheme: known,
      ...parseHostPort(hasPort ? authority : `${authority}:${usualPort(known)}`, 'sink'),
      ...(userInfo !== undefined && { credentials: parseCredentials(userInfo) }),
      from: name,
    };
  } catch (cause) {
    throw new Error(`the variable ${name}: ${(cause as Error).message}`, { cause });
  }
}

/** An address in a network, as `10.0.0.0/8`. */
function isInNetwork(host: string, network: string): boolean {
  const [, base = '', bits = ''] = /^\[?([^/\]]+)\]?\/(\d+)$/.exec(network) ?? [];
  const [family, of] = [isIP(base), isIP(host)];
  if (family === 0 || family !== of || Number(bits) > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  const type = family === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(base, Number(bits), type);
  return list.check(host, type);
}

/** Whether NO_PROXY means this host: a name with all below it, an address, a network, or `*` alone for everything. */
function isExempt(host: string, noProxy: string): boolean {
  if (noProxy.trim() === '*') return true;
  const name = host.toLowerCase().replace(/\.$/, '');
  const entries = noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean);
  if (isIP(name) !== 0)
    return entries.some((entry) => entry === name || entry === `[${name}]` || isInNetwork(name, entry));
  return entries.some((entry) => {
    const domain = entry.replace(/^\./, '').replace(/\.$/, '');
    return domain !== '' && (name === domain || name.endsWith(`.${domain}`));
  });
}

/** The first that is set and not empty. */
function variable(names: readonly string[]): { name: string; value: string } | undefined {
  const name = names.find((one) => process.env[one]);
  return name === undefined ? undefined : { name, value: process.env[name] ?? '' };
}

/** @throws Error for a variable that cannot be read */
export function proxyFor({ scheme, host, proxy }: HostPort & ProxyTerms): Proxy | undefined {
  if (proxy !== undefined) return proxy === 'off' ? undefined : proxy;
  if (reachOfHost(host) === 'local') return undefined; // it would be the proxy's own machine
  const found = variable(VARIABLES[scheme]);
  if (found === undefined || isExempt(host, variable(['no_proxy', 'NO_PROXY'])?.value ?? '')) return undefined;
  return parseVariable(found.name, found.value);
}

/** What a dial goes through, for people; a variable that cannot be read is told by the dial, and by `inspectProxy`. */
export function viaOf(target: HostPort & ProxyTerms): string | undefined {
  try {
    const proxy = proxyFor(target);
    return proxy && showProxy(proxy);
  } catch {
    return undefined;
  }
}

/** A loopback address behind a proxy that the address names is the loopback of another machine. */
export const reachThrough = ({ host, proxy }: HostPort & ProxyTerms): 'local' | 'network' | undefined =>
  proxy === undefined || proxy === 'off' ? reachOfHost(host) : 'network';

/** For `sluice check`. */
export async function inspectProxy(target: HostPort & ProxyTerms, role: 'source' | 'sink'): Promise<string[]> {
  if (role === 'source') return [];
  try {
    const proxy = proxyFor(target);
    if (target.proxyCa === undefined || proxy?.scheme !== 'https') return [];
    await (await import('./tls-credentials.ts')).readAuthorities(target.proxyCa, 'proxy-ca');
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}
