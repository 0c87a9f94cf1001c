/**
 * Reads a socket into slabs, and hands on together what has come together. Node makes a buffer for each read, and TLS reads a
 * record of at most 16 KiB: at full rate these, with an event and a piece for each, were a tenth of what a gateway computes.
 * A socket from which little comes has no slab (socket-reads.ts).
 */
import type { Socket } from 'node:net';
import { LARGEST_BLOCK } from './block-pool.ts';
import { LentBlock } from './lent-blocks.ts';
import { FULL_READ, readInto, type Reader } from './socket-reads.ts';

/** Bytes below which a copy is handed on: whoever sends little by little must not keep slabs. */
const SMALL = 4 * 1024;

/** @param read gets all bytes as its own, in their order, the last before any later listener for `end` or `close` */
export function readInSlabs(socket: Socket, read: (bytes: Buffer) => void): Slabs {
  const slabs = new Slabs(socket, read);
  if (readInto(socket, slabs)) {
    socket.once('end', () => slabs.flush());
    socket.once('close', () => slabs.flush());
  } else socket.on('data', read);
  return slabs;
}

export class Slabs implements Reader {
  readonly #socket: Socket;
  readonly #read: (bytes: Buffer) => void;
  #slab: Buffer | undefined;
  /** The same, where what is handed on comes back. */
  #block: LentBlock | undefined;
  #lends = false;
  /** Where what is not handed on begins, and ends. */
  #start = 0;
  #end = 0;
  #waiting: NodeJS.Immediate | undefined;

  constructor(socket: Socket, read: (bytes: Buffer) => void) {
    this.#socket = socket;
    this.#read = read;
  }

  /** From the next slab on `read` gives back (lent-blocks.ts) what it gets. */
  lend(): void {
    this.#lends = true;
  }

  copy(bytes: Buffer): boolean {
    this.flush();
    this.#read(Buffer.from(bytes));
    return !this.#socket.isPaused();
  }

  room(): Buffer {
    if (this.#block?.isWhole === true && this.#start === this.#end) this.#start = this.#end = 0; // its memory is still in the cache
    if (this.#slab === undefined || LARGEST_BLOCK - this.#end < FULL_READ) this.#renew();
    return (this.#slab as Buffer).subarray(this.#end);
  }

  /** One full record is seldom alone, so it waits for the end of the turn. */
  filled(count: number): boolean {
    this.#end += count;
    if (count < FULL_READ) this.flush();
    else this.#waiting ??= setImmediate(() => this.flush());
    return !this.#socket.isPaused();
  }

  left(): void {
    this.flush();
  }

  rested(): void {
    this.#block?.leave();
    this.#slab = this.#block = undefined;
  }

  #renew(): void {
    this.flush();
    this.#block?.leave();
    this.#block = this.#lends ? new LentBlock() : undefined;
    this.#slab = this.#block?.bytes ?? Buffer.allocUnsafeSlow(LARGEST_BLOCK);
    this.#start = this.#end = 0;
  }

  flush(): void {
    clearImmediate(this.#waiting);
    this.#waiting = undefined;
    const bytes = this.#slab?.subarray(this.#start, this.#end);
    if (bytes === undefined || bytes.length === 0) return;
    if (bytes.length < SMALL) {
      this.#end = this.#start;
      return this.#read(Buffer.from(bytes));
    }
    this.#start = this.#end;
    this.#block?.lend(bytes.length);
    this.#read(bytes);
  }
}
