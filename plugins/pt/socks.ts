/** SOCKS 5 as pluggable transports use it: the arguments of the transport go as user name and password (RFC 1928, 1929). */
import { once } from 'node:events';
import { isIP, type Socket } from 'node:net';

/** Longest user name and password. */
const FIELD = 255;

const FAULTS: Readonly<Record<number, string>> = {
  1: 'general failure',
  3: 'network unreachable',
  4: 'host unreachable',
  5: 'connection refused',
  6: 'it took too long',
};

/** Exactly so many bytes; what comes after them stays in the socket. */
async function take(socket: Socket, count: number): Promise<Buffer> {
  for (;;) {
    const bytes = socket.read(count) as Buffer | null;
    if (bytes !== null && bytes.length === count) return bytes;
    if (socket.readableEnded || socket.destroyed) throw new Error('the program closed the connection');
    await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
  }
}

const escape = (text: string): string => text.replaceAll(/[\\=;]/g, '\\$&');

/** Arguments as `key=value;key=value`, with `\` before what would be taken for a mark. */
export function encodeArguments(args: Readonly<Record<string, string>>): Buffer {
  return Buffer.from(
    Object.entries(args)
      .map(([key, value]) => `${escape(key)}=${escape(value)}`)
      .join(';'),
  );
}

async function authenticate(socket: Socket, args: Buffer): Promise<void> {
  if (args.length > 2 * FIELD) throw new Error(`the arguments have ${args.length} bytes, and may have ${2 * FIELD}`);
  const hasArguments = args.length > 0;
  socket.write(Buffer.of(5, 1, hasArguments ? 2 : 0));
  const [, method] = await take(socket, 2);
  if (method !== (hasArguments ? 2 : 0)) throw new Error('the program takes no arguments by SOCKS');
  if (!hasArguments) return;
  const [user, password] = [args.subarray(0, FIELD), args.subarray(FIELD)];
  const secret = password.length > 0 ? password : Buffer.of(0);
  socket.write(Buffer.concat([Buffer.of(1, user.length), user, Buffer.of(secret.length), secret]));
  const [, refused] = await take(socket, 2);
  if (refused !== 0) throw new Error('the program does not take these arguments');
}

/** Each with its four digits. */
const groups = (text: string): string[] =>
  text
    .split(':')
    .filter(Boolean)
    .map((group) => group.padStart(4, '0'));

/** `URL` writes an address in its shortest form, in hexadecimal, whatever it was written in. */
function bytesOfIpv6(host: string): Buffer {
  const [head = '', tail = ''] = new URL(`http://[${host}]`).hostname.slice(1, -1).split('::');
  const [before, after] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0000');
  return Buffer.from([...before, ...zeros, ...after].join(''), 'hex');
}

function encodeHost(host: string): Buffer {
  if (isIP(host) === 4) return Buffer.of(1, ...host.split('.').map(Number));
  if (isIP(host) === 6) return Buffer.concat([Buffer.of(4), bytesOfIpv6(host)]);
  return Buffer.concat([Buffer.of(3, Buffer.byteLength(host)), Buffer.from(host)]);
}

/** Has the program connect to the host; resolves when it has. */
export async function connectBySocks(
  socket: Socket,
  host: string,
  port: number,
  args: Readonly<Record<string, string>>,
): Promise<void> {
  await authenticate(socket, encodeArguments(args));
  socket.write(Buffer.concat([Buffer.of(5, 1, 0), encodeHost(host), Buffer.of(port >> 8, port & 0xff)]));
  const [, outcome = 1, , kind] = await take(socket, 4);
  if (outcome !== 0) throw new Error(`${host}:${port}: ${FAULTS[outcome] ?? `fault ${outcome} of SOCKS`}`);
  const length = kind === 1 ? 4 : kind === 4 ? 16 : ((await take(socket, 1))[0] ?? 0);
  await take(socket, length + 2);
}
