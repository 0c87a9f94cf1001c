/**
 * The PROXY protocol (versions 1 and 2), by which a proxy before us tells where a connection comes from, and we tell it to
 * what we dial. Pure. https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
 */
import { isIPv4, isIPv6 } from 'node:net';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** Bytes that decide which version it is; no header is shorter. */
export const FIRST_BYTES = SIGNATURE.length;
/** Bytes of a version 1 line, with its end. */
export const LONGEST_LINE = 107;
/** Bytes behind the first sixteen of version 2: addresses, and more TLVs than anybody sends. */
const LONGEST_BODY = 2_048;

const FAMILY = { none: 0x00, tcp4: 0x11, tcp6: 0x21 } as const;
const IPV6_BYTES = 16;
/** Of the range for private use: the name of who has connected, as Sluice knows it. */
const IDENTITY = 0xe0;

export const isVersion2 = (first: Buffer): boolean => first.equals(SIGNATURE);
export const isVersion1 = (first: Buffer): boolean => first.toString('latin1').startsWith('PROXY ');

export const hostPort = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** Where it comes from; `undefined` where the proxy speaks for itself. @throws Error for what is no such line */
export function readLine(line: string): string | undefined {
  const [, family, source = '', , port] =
    /^PROXY (?:UNKNOWN.*|(TCP4|TCP6) (\S+) (\S+) (\d{1,5}) \d{1,5})\r\n$/.exec(line) ?? [];
  if (family === undefined && line.startsWith('PROXY UNKNOWN') && line.endsWith('\r\n')) return undefined;
  const isAddress = family === 'TCP4' ? isIPv4(source) : family === 'TCP6' && isIPv6(source);
  if (!isAddress) throw new Error('no line of the PROXY protocol');
  return hostPort(source, Number(port));
}

/** Bytes that follow the first sixteen. @throws Error for another version, or for more than is sent */
export function bodyLength(head: Buffer): number {
  const [version, length] = [head.readUInt8(12), head.readUInt16BE(14)];
  if (version >> 4 !== 2 || (version & 0x0f) > 1) throw new Error('another version of the PROXY protocol');
  if (length > LONGEST_BODY) throw new Error('a PROXY header that is too long');
  return length;
}

const ipv6 = (bytes: Buffer): string =>
  Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2).toString(16)).join(':');

/** Where it comes from, as above. @throws Error for a header that is shorter than its addresses */
export function readBody(head: Buffer, body: Buffer): string | undefined {
  const [isLocal, family] = [(head.readUInt8(12) & 0x0f) === 0, head.readUInt8(13)];
  if (isLocal || (family !== FAMILY.tcp4 && family !== FAMILY.tcp6)) return undefined;
  if (body.length < (family === FAMILY.tcp4 ? 12 : 36)) throw new Error('a PROXY header without its addresses');
  return family === FAMILY.tcp4
    ? hostPort([...body.subarray(0, 4)].join('.'), body.readUInt16BE(8))
    : hostPort(ipv6(body.subarray(0, IPV6_BYTES)), body.readUInt16BE(32));
}

function addressesOf(peer: string): { family: number; bytes: Buffer } {
  const [, host = '', port = '0'] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(peer) ?? [];
  const v4 = host.replace(/^::ffff:(?=\d+\.)/i, '');
  if (!isIPv4(v4)) return { family: FAMILY.none, bytes: Buffer.alloc(0) };
  const bytes = Buffer.alloc(12);
  for (const [at, part] of v4.split('.').entries()) bytes.writeUInt8(Number(part), at);
  bytes.writeUInt16BE(Number(port), 8);
  return { family: FAMILY.tcp4, bytes };
}

/** A header of version 2 that tells a peer's address, where it has one that can be told, and who it is. */
export function writeHeader(peer: string, identity: string | undefined): Buffer {
  const { family, bytes } = addressesOf(peer);
  const name = Buffer.from(identity ?? '');
  const tlv = identity === undefined ? Buffer.alloc(0) : Buffer.concat([Buffer.from([IDENTITY, 0, name.length]), name]);
  const head = Buffer.alloc(4);
  head.writeUInt8(0x21, 0);
  head.writeUInt8(family, 1);
  head.writeUInt16BE(bytes.length + tlv.length, 2);
  return Buffer.concat([SIGNATURE, head, bytes, tlv]);
}
