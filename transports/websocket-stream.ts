/**
 * A WebSocket as a byte stream.
 *
 * Under the subprotocol `sluice.bytes.1` an empty binary message is the end of its direction, and the connection is
 * closed with 1000 when both have ended; a close before the peer's end is a cut. A plain peer knows no such mark:
 * its close with 1000 (or without a code) is taken for its end, after which nothing can be sent to it; our end is a
 * close frame, after which we read on until the peer closes too. That is the best that plain WebSocket can do.
 *
 * A peer from which nothing has come for two pings and a half, not even a pong, is dead.
 */
import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Protocol, ReleasingStream } from '../plugins/contract/index.ts';

export const BYTES_SUBPROTOCOL = 'sluice.bytes.1';
/** The session (core/session/PROTOCOL.md); its carrier is a stream with the same end mark. */
export const SESSION_SUBPROTOCOL = 'sluice.1';

/** What we offer or accept, the best first. */
export const subprotocolsFor = (protocols: readonly Protocol[]): readonly string[] =>
  protocols.includes('session') ? [SESSION_SUBPROTOCOL, BYTES_SUBPROTOCOL] : [BYTES_SUBPROTOCOL];

/** Frames: a peer's message may not take more memory than this (a flood of tiny fragments took 288 MiB). */
export const MESSAGE_LIMITS = {
  maxPayload: 1024 * 1024,
  maxFragments: 64,
  maxBufferedChunks: 4096,
  perMessageDeflate: false,
  closeTimeout: 10_000,
} as const;

/**
 * Bytes: with a header of 8, as a client's are, it fills a record of TLS, and comes out of one whole. What comes in several
 * records the receiver has to join by copying.
 */
const FRAGMENT = 16 * 1024 - 8;
const FRAGMENTS_A_MESSAGE = 4;
const NORMAL = 1000;
const NO_STATUS = 1005;
const INTERNAL_ERROR = 1011;
/** Bytes of a reason in a close frame. */
const LONGEST_REASON = 123;
/** ms for the close frame of an abort to be sent. */
const ABORT_PATIENCE = 1_000;
const PINGS_UNTIL_DEAD = 2.5;

export interface WebSocketStreamOptions {
  /** `sluice.bytes.1` was agreed. */
  readonly marked: boolean;
  /** ms between pings; 0 for none. */
  readonly ping: number;
}

export class WebSocketStream extends Duplex implements ReleasingStream {
  /** `send` calls back when the socket has taken the message. */
  readonly releasesChunks = true;
  readonly #ws: WebSocket;
  readonly #marked: boolean;
  #theirEnd = false;
  #ourEnd = false;
  #lastSign = performance.now();
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(ws: WebSocket, { marked, ping }: WebSocketStreamOptions) {
    super({ allowHalfOpen: true });
    this.#ws = ws;
    this.#marked = marked;
    ws.binaryType = 'fragments';
    ws.on('message', (message) => this.#onMessage(message as Buffer | Buffer[]));
    ws.on('close', (code: number, reason: Buffer) => this.#onClose(code, reason.toString()));
    ws.on('error', (error: Error) => this.destroy(error));
    ws.on('pong', () => this.#sign());
    ws.on('ping', () => this.#sign());
    if (ping > 0) this.#heartbeat = setInterval(() => this.#beat(ping), ping);
  }

  /** Cuts: with a close code and the reason if the way is free, else without a word. */
  abort(reason: Error): void {
    if (this.#ws.readyState === this.#ws.OPEN && this.#ws.bufferedAmount === 0) {
      const text = Buffer.from(reason.message)
        .subarray(0, LONGEST_REASON)
        .toString()
        .replace(/\ufffd+$/, '');
      this.#ws.close(INTERNAL_ERROR, text);
      setTimeout(() => this.#ws.terminate(), ABORT_PATIENCE).unref();
    } else this.#ws.terminate();
    this.destroy(reason);
  }

  #sign(): void {
    this.#lastSign = performance.now();
  }

  #beat(ping: number): void {
    const isStalled = !this.#marked && this.#ws.bufferedAmount > 0; // a plain peer that does not read sees no ping
    if (this.#ws.isPaused || isStalled) this.#sign(); // nothing can be known now
    if (performance.now() - this.#lastSign > ping * PINGS_UNTIL_DEAD) {
      this.destroy(new Error(`no sign of life for ${(ping * PINGS_UNTIL_DEAD) / 1000} s`));
    } else if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping();
  }

  #onMessage(message: Buffer | Buffer[]): void {
    this.#sign();
    if (this.#theirEnd) return void this.destroy(new Error('the peer sent data after its end'));
    const fragments = (Array.isArray(message) ? message : [message]).filter(({ length }) => length > 0); // text comes whole
    if (fragments.length === 0 && this.#marked) return this.#endOfPeer();
    let hasRoom = true;
    for (const fragment of fragments) hasRoom = this.push(fragment);
    if (!hasRoom) this.#ws.pause();
  }

  #endOfPeer(): void {
    this.#theirEnd = true;
    this.push(null);
    this.#closeIfBothEnded();
  }

  #onClose(code: number, reason: string): void {
    clearInterval(this.#heartbeat);
    const isEnd = !this.#marked && (code === NORMAL || code === NO_STATUS);
    if (isEnd && !this.#theirEnd) this.#endOfPeer();
    if (!this.#theirEnd) this.destroy(new Error(`closed before its end (${code}${reason && ` ${reason}`})`));
    else if (!this.#ourEnd && this.#marked)
      this.destroy(new Error(`closed before our end (${code}${reason && ` ${reason}`})`));
  }

  #closeIfBothEnded(): void {
    if (this.#theirEnd && this.#ourEnd) this.#ws.close(NORMAL);
  }

  override _read(): void {
    if (this.#ws.isPaused) this.#ws.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    const messages = joinSmall(chunks);
    for (const [at, message] of messages.entries()) this.#send(message, at === messages.length - 1 ? done : undefined);
  }

  /** In messages of a few fragments, far below what a peer takes. They leave in order, so the last one's callback stands for all. */
  #send(chunk: Buffer, done?: (error?: Error | null) => void): void {
    if (chunk.length === 0) return done?.(); // an empty message would be our end
    for (let at = 0, count = 1; at < chunk.length; at += FRAGMENT, count += 1) {
      const isLast = at + FRAGMENT >= chunk.length;
      const fin = isLast || count % FRAGMENTS_A_MESSAGE === 0;
      this.#ws.send(chunk.subarray(at, at + FRAGMENT), { binary: true, fin }, isLast ? done : undefined);
    }
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#ourEnd = true;
    if (!this.#marked || this.#ws.readyState !== this.#ws.OPEN) {
      this.#ws.close(NORMAL);
      return done();
    }
    this.#ws.send(Buffer.alloc(0), { binary: true }, (error) => {
      done(error);
      this.#closeIfBothEnded();
    });
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearInterval(this.#heartbeat);
    const ws = this.#ws;
    if (ws.readyState === ws.CLOSED) return done(error);
    ws.once('close', () => done(error));
    ws.resume(); // a paused one would not see the close
    const bothEnded = this.#theirEnd && this.#ourEnd;
    if (!bothEnded && ws.readyState !== ws.CLOSING) ws.terminate();
  }
}

/** Small writes that came together are one message: each would cost more by itself than its copy. */
function joinSmall(chunks: readonly { chunk: Buffer }[]): readonly Buffer[] {
  const messages: Buffer[] = [];
  let small: Buffer[] = [];
  let size = 0;
  const flush = (): void => {
    if (small.length > 0) messages.push(small.length === 1 ? (small[0] as Buffer) : Buffer.concat(small));
    small = [];
    size = 0;
  };
  for (const { chunk } of chunks) {
    if (chunk.length >= FRAGMENT || size + chunk.length > FRAGMENT) flush();
    if (chunk.length >= FRAGMENT) messages.push(chunk);
    else {
      small.push(chunk);
      size += chunk.length;
    }
  }
  flush();
  return messages;
}
