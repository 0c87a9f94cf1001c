/**
 * Reads a socket into slabs, and hands on together what has come together. Node makes a buffer for each read, and TLS reads a
 * record of at most 16 KiB: at full rate these, with an event and a piece for each, were a tenth of what a gateway computes.
 * A socket from which little comes has no slab (socket-reads.ts).
 */
import type { Socket } from 'node:net';
import { FULL_READ, readInto, type Reader } from './socket-reads.ts';

/** Bytes. */
const SLAB = 256 * 1024;
/** Bytes below which a copy is handed on: whoever sends little by little must not keep slabs. */
const SMALL = 4 * 1024;

/** @param read gets all bytes as its own, in their order, the last before any later listener for `end` or `close` */
export function readInSlabs(socket: Socket, read: (bytes: Buffer) => void): void {
  const slabs = new Slabs(socket, read);
  if (!readInto(socket, slabs)) return void socket.on('data', read);
  socket.once('end', () => slabs.flush());
  socket.once('close', () => slabs.flush());
}

class Slabs implements Reader {
  readonly #socket: Socket;
  readonly #read: (bytes: Buffer) => void;
  #slab: Buffer | undefined;
  /** Where what is not handed on begins, and ends. */
  #start = 0;
  #end = 0;
  #waiting: NodeJS.Immediate | undefined;

  constructor(socket: Socket, read: (bytes: Buffer) => void) {
    this.#socket = socket;
    this.#read = read;
  }

  copy(bytes: Buffer): boolean {
    this.flush();
    this.#read(Buffer.from(bytes));
    return !this.#socket.isPaused();
  }

  room(): Buffer {
    if (this.#slab === undefined || SLAB - this.#end < FULL_READ) {
      this.flush();
      this.#slab = Buffer.allocUnsafeSlow(SLAB);
      this.#start = this.#end = 0;
    }
    return this.#slab.subarray(this.#end);
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
    this.#slab = undefined;
  }

  flush(): void {
    clearImmediate(this.#waiting);
    this.#waiting = undefined;
    const bytes = this.#slab?.subarray(this.#start, this.#end);
    if (bytes === undefined || bytes.length === 0) return;
    if (bytes.length >= SMALL) this.#start = this.#end;
    else this.#end = this.#start;
    this.#read(bytes.length < SMALL ? Buffer.from(bytes) : bytes);
  }
}
