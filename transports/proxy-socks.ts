/** SOCKS5 (RFC 1928, 1929): the only import of `socks`. */
import { lookup } from 'node:dns/promises';
import { isIP, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { SocksClient } from 'socks';
import { formatHostPort, type HostPort } from './host-port.ts';
import type { Ask } from './proxy.ts';
import { NO_CREDENTIALS, WRONG_CREDENTIALS, type Credentials } from './proxy-options.ts';

/**
 * What `socks` gets in place of the socket. It reads ahead, and gives back what it did not need as an event of its own making, a
 * turn later, to whoever listens then; it also sets the socket flowing. So it never sees the socket, and what it gives back
 * is put where it belongs.
 */
class Handshake extends Duplex {
  readonly #socket: Socket;
  readonly #feed = (chunk: Buffer): void => void this.push(chunk);
  readonly #lose = (): void => void this.destroy();

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on('data', this.#feed);
    for (const event of ['end', 'close']) socket.once(event, this.#lose);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  /** Lets go of the socket; call it in the turn in which the handshake is done. Resolves when nothing is missing of it. */
  async release(): Promise<void> {
    this.#socket.pause();
    this.#socket.off('data', this.#feed);
    for (const event of ['end', 'close']) this.#socket.off(event, this.#lose);
    const early: Buffer[] = [];
    this.on('data', (chunk: Buffer) => early.push(chunk));
    await setImmediate();
    this.destroy();
    if (early.length > 0) this.#socket.unshift(Buffer.concat(early));
    // Neither flowing nor paused, as a new one: it flows for whoever listens next. node:http does the same after CONNECT.
    Object.assign(this.#socket, { readableFlowing: null });
  }
}

/** The replies of RFC 1928, as `socks` spells them. */
const REPLIES: Readonly<Record<string, string>> = {
  Failure: 'it failed',
  NotAllowed: 'it does not allow that',
  NetworkUnreachable: 'the network is unreachable',
  HostUnreachable: 'the host is unreachable',
  ConnectionRefused: 'the target refused the connection',
  TTLExpired: 'it got no answer',
  CommandNotSupported: 'it does not know CONNECT',
  AddressNotSupported: 'it does not know this kind of address',
};

/** The error of `socks` holds the credentials: of it only the message is kept. */
function explain(message: string, target: HostPort, credentials: Credentials | undefined): Error {
  if (/Authentication failed|no accepted auth|unknown auth/.test(message))
    return Object.assign(new Error(credentials ? WRONG_CREDENTIALS : NO_CREDENTIALS), { final: true });
  const [, reply] = /rejected connection - (\w+)$/.exec(message) ?? [];
  if (reply !== undefined) {
    const error = new Error(`it refused ${formatHostPort(target)}: ${REPLIES[reply] ?? 'it does not say why'}`);
    return Object.assign(error, { final: reply === 'NotAllowed' });
  }
  if (message === 'Socket closed') return new Error('it closed without an answer; does it speak SOCKS5?');
  return new Error(/socks version/.test(message) ? 'what answers there is no SOCKS5 proxy' : message);
}

/** The proxy resolves the name. */
export const askBySocksByName: Ask = async (socket, { host, port }, credentials) => {
  const handshake = new Handshake(socket);
  try {
    await SocksClient.createConnection({
      command: 'connect',
      existing_socket: handshake,
      proxy: {
        type: 5,
        host: 'unused', // the socket is connected already
        port: 1080,
        ...(credentials && { userId: credentials.user, password: credentials.password }),
      },
      destination: { host, port },
    });
  } catch (error) {
    handshake.destroy();
    throw explain((error as Error).message, { host, port }, credentials);
  }
  await handshake.release();
};

/** We resolve the name. */
export const askBySocks: Ask = async (socket, { host, port }, credentials) => {
  const address = isIP(host) === 0 ? (await lookup(host)).address : host;
  await askBySocksByName(socket, { host: address, port }, credentials);
};
