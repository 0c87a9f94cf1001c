/** `HOST:PORT`, with IPv6 hosts in brackets: the grammar that tcp, tls, ws and wss share. Pure. */
import { isIP, type AddressInfo } from 'node:net';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** @throws Error naming what was got. Port 0 lets the system choose, which only a source can. */
export function parseHostPort(text: string, role: 'source' | 'sink'): HostPort {
  const match = /^(?:\[([^\]]*)\]|([^:[\]/@]*)):(\d+)$/.exec(text);
  if (match === null) {
    const hint = text.includes('@') ? '; a user name has no place here' : '';
    throw new Error(`expected HOST:PORT, an IPv6 host in brackets, got ${JSON.stringify(text)}${hint}`);
  }
  const host = match[1] ?? match[2] ?? '';
  if (host === '') throw new Error(`no host in ${JSON.stringify(text)}; to listen everywhere write 0.0.0.0 or [::]`);
  const port = Number(match[3]);
  if (port > 65_535)
    throw new Error(`port ${match[3]} is out of range, expected ${role === 'source' ? 0 : 1} to 65535`);
  if (port === 0 && role === 'sink') throw new Error('port 0 cannot be dialed, expected 1 to 65535');
  return { host, port };
}

export const formatHostPort = ({ host, port }: HostPort): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

export const boundHostPort = ({ address, port }: AddressInfo): HostPort => ({ host: address, port });

/** What the host of an address tells before it is bound; a name tells nothing, but for `localhost`. */
export const reachOfHost = (host: string): 'local' | 'network' | undefined =>
  host === 'localhost' ? 'local' : isIP(host) === 0 ? undefined : reachOf(host);

/** `local` only for what never leaves this machine: 127.0.0.0/8, ::1 and their IPv4-mapped forms. */
export function reachOf(host: string): 'local' | 'network' {
  const v4 = host.replace(/^::ffff:/i, '');
  return host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(v4) ? 'local' : 'network';
}
