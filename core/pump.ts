/**
 * Moves bytes from one stream to another, with backpressure, and nothing else: what an end or a cut means is the
 * relay's. Two ways, one face:
 *
 * - `pumpStream` works with any Duplex: `data`, `write`, `pause`, `drain`.
 * - `pumpSocket` reads a bare socket into blocks of ours, each used again as soon as the kernel has taken it: about
 *   twice the rate of `stream.pipe`. Where a socket cannot be read so (transports/socket-reads.ts), it says so and
 *   `pumpStream` is used: slower, the same otherwise.
 */
import { Socket } from 'node:net';
import type { Duplex, Writable } from 'node:stream';
import { giveBack, takeBlock } from '../transports/block-pool.ts';
import { readInto, type Reader } from '../transports/socket-reads.ts';
import { lenderOf, letsGo } from './lending.ts';
import { LIMITS } from './limits.ts';
import { WriteAhead } from './write-ahead.ts';

/** Counts what has moved. */
export interface Meter {
  bytes: number;
  /** Called for each chunk read and each write completed. */
  progress: () => void;
  /** Looks at the first bytes: what it refuses is not written, and nothing is read after it. */
  readonly refuses?: (first: Buffer) => boolean;
}

/** Starts moving bytes; the caller watches both streams for their ends and errors. */
export function pump(from: Duplex, to: Duplex, meter: Meter): void {
  if (!(canReuseBlocks(from, to) && pumpSocket(from as Socket, to, meter))) pumpStream(from, to, meter);
}

export function pumpStream(from: Duplex, to: Duplex, meter: Meter): void {
  const lender = letsGo(to) ? lenderOf(from) : undefined;
  lender?.lend();
  let isGathering = false;
  const ahead = new WriteAhead(to);
  const gather = (): void => {
    isGathering = true;
    to.cork();
    process.nextTick(() => {
      isGathering = false;
      to.uncork();
    });
  };
  from.on('data', (chunk: Buffer) => {
    if (meter.bytes === 0 && meter.refuses?.(chunk)) {
      from.pause();
      return;
    }
    meter.bytes += chunk.length;
    meter.progress();
    if (!to.writable) return;
    if (!isGathering) gather();
    ahead.add(chunk.length);
    const written = (error?: Error | null): void => {
      if (!error) lender?.giveBack(chunk); // of what has failed the kernel may still hold it
      ahead.remove(chunk.length);
      meter.progress();
    };
    const most = ahead.isScarce ? LIMITS.scarceWriteAhead : LIMITS.readBuffer;
    const hasRoom = to.write(chunk, written) || to.writableLength < most;
    if (!hasRoom) from.pause();
  });
  to.on('drain', () => {
    meter.progress();
    from.resume();
  });
  from.resume(); // an accepted socket was paused, and a listener for data alone does not start it
}

/**
 * A block may be read into again only once the writing side has let go of it. A socket has when its write callback
 * runs, and streams of transports may promise the same; of others nobody can tell (a pass-through keeps the chunk), so
 * they get fresh buffers.
 */
const canReuseBlocks = (from: Duplex, to: Writable): boolean =>
  from instanceof Socket && !('encrypted' in from) && letsGo(to);

function pumpSocket(from: Socket, to: Duplex, meter: Meter): boolean {
  const isPumped = readInto(from, new SocketPump(from, to, meter));
  if (isPumped) from.resume();
  return isPumped;
}

/** Bytes: who has not yet filled so much at once does not take the largest block. */
const MODEST = 64 * 1024;

class SocketPump implements Reader {
  readonly #from: Socket;
  readonly #to: Duplex;
  readonly #meter: Meter;
  readonly #ahead: WriteAhead;
  /** What is read into. */
  #block: Buffer | undefined;
  /** No read since the last silence has been a large one. */
  #isModest = true;
  #isStopped = false;

  constructor(from: Socket, to: Duplex, meter: Meter) {
    this.#from = from;
    this.#to = to;
    this.#meter = meter;
    this.#ahead = new WriteAhead(to);
  }

  copy(bytes: Buffer): boolean {
    const block = takeBlock(bytes.length);
    bytes.copy(block);
    return this.#write(block, bytes.length);
  }

  room(): Buffer {
    this.#block = takeBlock(this.#isModest || this.#ahead.isScarce ? MODEST : LIMITS.readBuffer);
    return this.#block;
  }

  filled(count: number): boolean {
    const block = this.#block as Buffer;
    this.#block = undefined;
    return this.#write(block, count);
  }

  left(): void {
    if (this.#block !== undefined) giveBack(this.#block);
    this.#block = undefined;
  }

  rested(): void {
    this.#isModest = true;
  }

  /** Returns whether to read on. */
  #write(block: Buffer, count: number): boolean {
    if (this.#meter.bytes === 0 && this.#meter.refuses?.(block.subarray(0, count))) {
      giveBack(block);
      return false;
    }
    if (count >= MODEST) this.#isModest = false;
    this.#meter.bytes += count;
    this.#meter.progress();
    if (!this.#to.writable) {
      giveBack(block);
      return true;
    }
    this.#ahead.add(block.length); // not only `count`: it is all kept, and a peer may fill it with one byte
    this.#to.write(block.subarray(0, count), (error) => this.#written(block, error));
    this.#isStopped = this.#ahead.isFull;
    return !this.#isStopped;
  }

  #written(block: Buffer, error: Error | null | undefined): void {
    if (!error) giveBack(block); // of what has failed the kernel, or a stream, may still hold it
    this.#ahead.remove(block.length);
    this.#meter.progress();
    if (!this.#isStopped || this.#ahead.isFull) return;
    this.#isStopped = false;
    this.#from.resume();
  }
}
