/**
 * Puts WebSocket frames on a socket. Messages that leave together are copied together, masked on the way where they are a
 * client's: one write for all of them is one call of TLS for many records, and costs the collector nothing.
 */
import type { Socket } from 'node:net';
import { LARGEST_BLOCK, giveBack, takeBlock } from './block-pool.ts';
import { MOST_HEADER, OPCODE, encodeClose, writeHeader } from './websocket-frames.ts';
import { ZERO_KEY, drawKey, mask } from './websocket-mask.ts';

export type Done = (error?: Error | null) => void;

/** Bytes of the header of such a message. */
const HEADER = 8;
/** Bytes of a message, far below what a peer takes: with the header of a client's frame it fills four records of TLS, and four of them a block. */
const MESSAGE = LARGEST_BLOCK / 4 - HEADER;
/** Bytes of a write below which it goes into one message with others, and gets no block, which a peer that does not read would hold. */
const SMALL = 16 * 1024;

const NOTHING = Buffer.alloc(0);

/** Memory for frames, given back when the socket has taken them. */
function takeRoom(chunks: readonly Buffer[]): Buffer {
  let size = 0;
  for (const { length } of chunks) size += length + HEADER * Math.ceil(length / MESSAGE);
  return size < SMALL ? Buffer.allocUnsafe(size) : takeBlock(size);
}

export class FrameWriter {
  readonly #socket: Socket;
  readonly #drawKey: (() => Buffer) | undefined;
  #isClosed = false;

  /** @param key what a client's frames are masked with: each with a new one; a server's are not */
  constructor(socket: Socket, key: 'random' | 'zero' | undefined) {
    this.#socket = socket;
    this.#drawKey = key === 'random' ? drawKey : key && (() => ZERO_KEY);
  }

  /** Nothing can be sent any more: the close frame was the last, or the peer is gone. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Sends bytes in binary messages, none of them empty.
   *
   * @param done called when the socket has taken all of them, or with an error where our close frame came first
   */
  send(writes: readonly Buffer[], done: Done): void {
    if (this.#isClosed) return done(new Error('the WebSocket is closed'));
    const chunks = joinSmall(writes);
    const block = takeRoom(chunks);
    const { used, rest } = this.#fill(block, chunks);
    if (used === 0) return done();
    this.#socket.write(block.subarray(0, used), (error) => {
      if (error) return done(error);
      giveBack(block);
      if (rest.length === 0) done();
      else this.send(rest, done);
    });
  }

  /** An empty message. */
  sendEmpty(done: Done): void {
    this.#frame(OPCODE.BINARY, NOTHING, done);
  }

  ping(): void {
    this.#frame(OPCODE.PING, NOTHING);
  }

  pong(payload: Buffer, done: Done): void {
    this.#frame(OPCODE.PONG, payload, done);
  }

  /** Nothing follows it. */
  close(code: number, reason?: string): void {
    this.#frame(OPCODE.CLOSE, encodeClose(code, reason));
    this.shut();
  }

  /** Nothing more is sent, not even a close frame. */
  shut(): void {
    this.#isClosed = true;
  }

  #fill(block: Buffer, chunks: readonly Buffer[]): { used: number; rest: readonly Buffer[] } {
    let used = 0;
    for (const [index, chunk] of chunks.entries()) {
      for (let at = 0; at < chunk.length; at += MESSAGE) {
        const message = chunk.subarray(at, at + MESSAGE);
        if (used + HEADER + message.length > block.length)
          return { used, rest: [chunk.subarray(at), ...chunks.slice(index + 1)] };
        used = this.#put(block, used, OPCODE.BINARY, message);
      }
    }
    return { used, rest: [] };
  }

  #frame(opcode: number, payload: Buffer, done?: Done): void {
    if (this.#isClosed) return;
    const frame = Buffer.allocUnsafe(MOST_HEADER + payload.length);
    this.#socket.write(frame.subarray(0, this.#put(frame, 0, opcode, payload)), done);
  }

  /** Returns the offset after the frame. */
  #put(target: Buffer, at: number, opcode: number, payload: Buffer): number {
    const key = this.#drawKey?.();
    const start = writeHeader(target, at, opcode, payload.length, key);
    if (key === undefined) payload.copy(target, start);
    else mask(payload, key, target, start);
    return start + payload.length;
  }
}

/** Small writes that came together are one message: each would cost more by itself than its copy. */
function joinSmall(chunks: readonly Buffer[]): readonly Buffer[] {
  const messages: Buffer[] = [];
  let small: Buffer[] = [];
  let size = 0;
  const flush = (): void => {
    if (small.length > 0) messages.push(small.length === 1 ? (small[0] as Buffer) : Buffer.concat(small));
    small = [];
    size = 0;
  };
  for (const chunk of chunks) {
    if (chunk.length >= SMALL || size + chunk.length > SMALL) flush();
    if (chunk.length >= SMALL) messages.push(chunk);
    else {
      small.push(chunk);
      size += chunk.length;
    }
  }
  flush();
  return messages;
}
