/** Where a connection comes from, as limits count it: an IPv4 /24, an IPv6 /64. Pure. */
import { isIPv4, isIPv6 } from 'node:net';

/** The host of `10.0.0.7:51234` or `[::1]:51234`; `undefined` for a peer that has none (`unix`). */
export const hostOf = (peer: string): string | undefined => /^\[?([^\]]+?)\]?:\d+$/.exec(peer)?.[1];

const MAPPED = /^::ffff:(?=\d+\.)/i;

export const isLoopback = (host: string): boolean => host === '::1' || host.replace(MAPPED, '').startsWith('127.');

/** The eight groups of an IPv6 address, without its zone. */
function groupsOf(host: string): string[] {
  const [head = '', tail = ''] = host.replace(/%.*$/, '').split('::');
  const [before, after] = [head, tail].map((part) => (part === '' ? [] : part.split(':'))) as [string[], string[]];
  const zeros = host.includes('::') ? Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0') : [];
  return [...before, ...zeros, ...after].map((group) => Number.parseInt(group, 16).toString(16));
}

/** What is counted together; `undefined` for what limits by source do not apply to. */
export function sourceOf(peer: string, countsLoopback: boolean): string | undefined {
  const host = hostOf(peer)?.replace(MAPPED, '');
  if (host === undefined || (isLoopback(host) && !countsLoopback)) return undefined;
  if (isIPv4(host)) return `${host.split('.').slice(0, 3).join('.')}.0/24`;
  return isIPv6(host.replace(/%.*$/, '')) ? `${groupsOf(host).slice(0, 4).join(':')}::/64` : undefined;
}
