/**
 * A WebSocket as a byte stream. `ws` shakes hands (websocket-upgrade.ts); the frames on the socket after that are ours, because
 * an event, a buffer and a copy for each was a third of what two sluices compute.
 *
 * Under the subprotocol `sluice.bytes.1` an empty binary message is the end of its direction, and the connection is
 * closed with 1000 when both have ended; a close before the peer's end is a cut. A plain peer knows no such mark:
 * its close with 1000 (or without a code) is taken for its end, after which nothing can be sent to it; our end is a
 * close frame, after which we read on until the peer closes too. That is the best that plain WebSocket can do.
 *
 * A peer from which nothing has come for two pings and a half, not even a pong, is dead.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { LendingStream, Protocol, ReleasingStream } from '../plugins/contract/index.ts';
import { giveBack } from './lent-blocks.ts';
import { readInSlabs, type Slabs } from './socket-slabs.ts';
import { FrameReader } from './websocket-frame-reader.ts';
import { CLOSE, OPCODE, WebSocketError, parseClose } from './websocket-frames.ts';
import { FrameWriter, type Done } from './websocket-writer.ts';

export const BYTES_SUBPROTOCOL = 'sluice.bytes.1';
/** The session (core/session/PROTOCOL.md); its carrier is a stream with the same end mark. */
export const SESSION_SUBPROTOCOL = 'sluice.1';

/** What we offer or accept, the best first. */
export const subprotocolsFor = (protocols: readonly Protocol[]): readonly string[] =>
  protocols.includes('session') ? [SESSION_SUBPROTOCOL, BYTES_SUBPROTOCOL] : [BYTES_SUBPROTOCOL];

/** Bytes that a message of a peer may have. */
const MOST_PAYLOAD = 1024 * 1024;
/** ms that a peer gets to close after our close frame. */
const CLOSE_PATIENCE = 10_000;
/** ms for the close frame of an abort to be sent. */
const ABORT_PATIENCE = 1_000;
const PINGS_UNTIL_DEAD = 2.5;

/** A socket on which WebSocket is spoken now. */
export interface Upgraded {
  readonly socket: Socket;
  /** Bytes that came with the upgrade. */
  readonly head: Buffer;
  /** We are its client. */
  readonly isClient: boolean;
}

export interface WebSocketStreamOptions {
  /** `sluice.bytes.1` was agreed. */
  readonly marked: boolean;
  /** ms between pings; 0 for none. */
  readonly ping: number;
  /** Nobody between can read what is sent: it is below TLS, and the peer is a sluice. */
  readonly isPrivate?: boolean;
}

export class WebSocketStream extends Duplex implements ReleasingStream, LendingStream {
  /** What is written is copied into frames. */
  readonly releasesChunks = true;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #slabs: Slabs;
  /** Bytes pushed of what is read now. */
  #pushed = 0;
  readonly #writer: FrameWriter;
  readonly #marked: boolean;
  /** What came with the upgrade, until reading begins. */
  #head: Buffer | undefined;
  #theirEnd = false;
  #ourEnd = false;
  /** What the peer's close frame says. */
  #theirClose = { code: CLOSE.CUT as number, reason: '' };
  /** The last ping, while the answer to one before it is on its way. */
  #unanswered: Buffer | undefined;
  #isAnswering = false;
  #lastSign = performance.now();
  #heartbeat: NodeJS.Timeout | undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor({ socket, head, isClient }: Upgraded, { marked, ping, isPrivate = false }: WebSocketStreamOptions) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#marked = marked;
    this.#writer = new FrameWriter(socket, isClient ? (isPrivate ? 'zero' : 'random') : undefined);
    const limits = { fromClient: !isClient, mostPayload: MOST_PAYLOAD };
    this.#reader = new FrameReader(limits, {
      data: (piece) => this.#onData(piece),
      message: (length) => this.#onMessage(length),
      control: (opcode, payload) => this.#onControl(opcode, payload),
    });
    socket.on('error', (error) => this.destroy(error));
    this.#slabs = readInSlabs(socket, (bytes) => this.#receive(bytes));
    socket.once('end', () => this.#onEnd());
    socket.once('close', () => this.#onClose());
    socket.pause();
    this.#head = head;
    if (!isClient) process.nextTick(() => this.#resume()); // who dials does not listen for errors yet: a client's waits to be read
    if (ping > 0) this.#heartbeat = setInterval(() => this.#beat(ping), ping);
  }

  lend(): void {
    this.#slabs.lend();
  }

  giveBack(bytes: Buffer): void {
    giveBack(bytes);
  }

  /** Cuts: with a close code and the reason if the way is free, else without a word. */
  abort(reason: Error): void {
    if (!this.#writer.isClosed && this.#socket.writableLength === 0) this.#fail(CLOSE.INTERNAL_ERROR, reason);
    else {
      this.#socket.destroy();
      this.destroy(reason);
    }
  }

  /** Tells the peer why, which gets a moment to hear it. */
  #fail(code: number, reason: Error): void {
    this.#close(code, reason.message);
    setTimeout(() => this.#socket.destroy(), ABORT_PATIENCE).unref();
    this.destroy(reason);
  }

  #sign(): void {
    this.#lastSign = performance.now();
  }

  #beat(ping: number): void {
    const isStalled = !this.#marked && this.#socket.writableLength > 0; // a plain peer that does not read sees no ping
    if (this.#socket.isPaused() || isStalled) this.#sign(); // nothing can be known now
    if (performance.now() - this.#lastSign > ping * PINGS_UNTIL_DEAD) {
      this.destroy(new Error(`no sign of life for ${(ping * PINGS_UNTIL_DEAD) / 1000} s`));
    } else this.#writer.ping();
  }

  // ---- from the peer

  #receive(bytes: Buffer): void {
    this.#sign();
    this.#pushed = 0;
    try {
      this.#reader.read(bytes);
      giveBack(bytes, bytes.length - this.#pushed); // headers, and what was copied
    } catch (error) {
      this.#reader.close();
      this.#fail(error instanceof WebSocketError ? error.code : CLOSE.INTERNAL_ERROR, error as Error);
      this.#socket.end();
    }
  }

  #onData(piece: Buffer): void {
    if (this.#theirEnd || this.destroyed) return;
    this.#pushed += piece.length;
    if (!this.push(piece)) this.#socket.pause();
  }

  #onMessage(length: number): void {
    if (this.#theirEnd) this.destroy(new Error('the peer sent data after its end'));
    else if (length === 0 && this.#marked) this.#endOfPeer();
  }

  #onControl(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.PING) this.#answer(payload);
    if (opcode !== OPCODE.CLOSE) return;
    this.#theirClose = parseClose(payload);
    this.#reader.close();
    this.#close(this.#theirClose.code);
    this.#socket.end();
  }

  /** However many pings come while one answer is on its way, only the last of them is answered (RFC 6455 §5.5.3). */
  #answer(ping: Buffer): void {
    if (this.#isAnswering) {
      this.#unanswered = ping;
      return;
    }
    this.#isAnswering = true;
    this.#writer.pong(ping, () => {
      const next = this.#unanswered;
      this.#unanswered = undefined;
      this.#isAnswering = false;
      if (next !== undefined) this.#answer(next);
    });
  }

  #endOfPeer(): void {
    this.#theirEnd = true;
    this.push(null);
    this.#closeIfBothEnded();
  }

  /** A peer that goes without a close frame hears nothing more: a write would only fail with another reason than this. */
  #onEnd(): void {
    this.#writer.shut();
    this.#socket.end();
    this.#deadline ??= setTimeout(() => this.#socket.destroy(), CLOSE_PATIENCE);
  }

  #onClose(): void {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#deadline);
    const { code } = this.#theirClose;
    const isEnd = !this.#marked && (code === CLOSE.NORMAL || code === CLOSE.NO_STATUS);
    if (isEnd && !this.#theirEnd) this.#endOfPeer();
    if (!this.#theirEnd || (!this.#ourEnd && this.#marked)) this.destroy(this.#closedEarly());
  }

  #closedEarly(): Error {
    const { code, reason } = this.#theirClose;
    return new Error(`closed before ${this.#theirEnd ? 'our' : 'its'} end (${code}${reason && ` ${reason}`})`);
  }

  // ---- toward the peer

  #closeIfBothEnded(): void {
    if (this.#theirEnd && this.#ourEnd) this.#close(CLOSE.NORMAL);
  }

  /** Says it once, and waits for the peer to do the same. */
  #close(code: number, reason?: string): void {
    if (this.#writer.isClosed) return;
    this.#writer.close(code, reason);
    this.#deadline = setTimeout(() => this.#socket.destroy(), CLOSE_PATIENCE);
  }

  override _read(): void {
    this.#resume();
  }

  #resume(): void {
    const head = this.#head;
    this.#head = undefined;
    if (this.#socket.isPaused()) this.#socket.resume();
    if (head !== undefined && head.length > 0) this.#receive(head);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send([chunk], done);
  }

  override _writev(writes: { chunk: Buffer }[], done: Done): void {
    const chunks = writes.map(({ chunk }) => chunk);
    this.#send(chunks, done);
  }

  #send(chunks: readonly Buffer[], done: Done): void {
    this.#writer.send(chunks, (error) => done(error && this.#writer.isClosed ? this.#closedEarly() : error));
  }

  override _final(done: Done): void {
    if (!this.#marked) {
      this.#close(CLOSE.NORMAL);
      return done();
    }
    if (this.#writer.isClosed) return done(this.#closedEarly()); // our mark cannot be said any more
    this.#ourEnd = true;
    this.#writer.sendEmpty((error) => {
      done(error);
      this.#closeIfBothEnded();
    });
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearInterval(this.#heartbeat);
    const socket = this.#socket;
    if (socket.closed) return done(error);
    socket.once('close', () => done(error));
    socket.resume(); // a paused one would not see the close
    if (!this.#writer.isClosed) socket.destroy();
  }
}
