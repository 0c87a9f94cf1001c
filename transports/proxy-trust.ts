/** Proxies before a source, whose word on where a connection comes from is taken: for limits and the log, never for who it is. Pure. */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { hostPort, writeHeader } from './proxy-header.ts';
import type { DialContext } from '../plugins/contract/index.ts';

/** Options of sources that a proxy may stand before. */
export const TRUST_OPTIONS = {
  'trusted-proxies': {
    type: 'list',
    role: 'source',
    help: 'address or network of proxies that tell where connections come from, for limits and the log; "unix" for a UNIX socket',
  },
} as const;

/** Sinks that are told who connects. */
export const PREFACE_OPTIONS = {
  'proxy-protocol': {
    type: 'boolean',
    role: 'sink',
    default: false,
    help: 'begin with the PROXY protocol, version 2: where the connection comes from, and the identity (TLV 0xE0)',
  },
} as const;

/** Who may tell where a connection comes from. */
export interface Trust {
  /** @param host an address; `undefined`: a UNIX socket */
  includes(host: string | undefined): boolean;
}

function add(list: BlockList, text: string): void {
  const [address = '', bits] = text.split('/');
  const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined;
  const most = family === 'ipv4' ? 32 : 128;
  if (family === undefined || (bits !== undefined && !(/^\d+$/.test(bits) && Number(bits) <= most)))
    throw new Error(
      `option "trusted-proxies": expected an address, a network such as 10.0.0.0/8, or unix, got ${JSON.stringify(text)}`,
    );
  list.addSubnet(address, bits === undefined ? most : Number(bits), family);
}

/** @throws Error that names the option; `undefined` where nobody is trusted */
export function parseTrust(texts: readonly string[]): Trust | undefined {
  if (texts.length === 0) return undefined;
  const list = new BlockList();
  for (const text of texts) if (text !== 'unix') add(list, text);
  const includes = (host: string | undefined): boolean => {
    if (host === undefined) return texts.includes('unix');
    const v4 = host.replace(/^::ffff:(?=\d+\.)/i, '');
    return list.check(v4, isIPv4(v4) ? 'ipv4' : 'ipv6');
  };
  return { includes };
}

/** The first that is not trusted, from the last on, of what proxies have added to X-Forwarded-For. */
export function forwardedFor(header: string, trust: Trust): string | undefined {
  const hosts = header.split(',').map((part) => part.trim().replace(/^\[([^\]]+)\](?::\d+)?$/, '$1'));
  const plain = hosts.map((host) => host.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1'));
  for (const host of plain.toReversed()) {
    if (!isIPv4(host) && !isIPv6(host)) return undefined;
    if (!trust.includes(host)) return hostPort(host, 0);
  }
  return undefined;
}

/** As written, when it can be read. @throws Error that names the option */
export function parseTrusted(options: { readonly 'trusted-proxies': readonly string[] }): readonly string[] {
  parseTrust(options['trusted-proxies']);
  return options['trusted-proxies'];
}

/** A source that proxies reach is reached by whoever reaches them. */
export const reachBehind = <R>(trusted: readonly string[], reach: R): R | 'network' =>
  trusted.length > 0 ? 'network' : reach;

/** What a dialed connection begins with, where its address asks for it. */
export const prefaceFor = (
  isWanted: boolean,
  { peer, identity }: Pick<DialContext, 'peer' | 'identity'>,
): { readonly preface?: Buffer } => (isWanted ? { preface: writeHeader(peer.address, identity?.name) } : {});
