/**
 * Counts what waits in writables. One peer that does not read may cost a MiB; thousands of them may not, so from a sum on each
 * gets little: it is as fast as ever where its peer reads, as the kernel's own buffers are behind it.
 */
import type { Writable } from 'node:stream';
import { LIMITS } from './limits.ts';

/** Bytes that a write counts for at least: it has objects of its own, and a small copy stands in a block of this size. */
const LEAST = 16 * 1024;

let ofAll = 0;

export class WriteAhead {
  #mine = 0;
  #isOver = false;

  /** @param to when it is closed nothing waits in it, whatever it has called back */
  constructor(to: Writable) {
    to.once('close', () => {
      this.#isOver = true;
      ofAll -= this.#mine;
      this.#mine = 0;
    });
  }

  /** The process has little left. */
  get isScarce(): boolean {
    return ofAll >= LIMITS.writeAheadOfAll;
  }

  get isFull(): boolean {
    return this.#mine >= (this.isScarce ? LIMITS.scarceWriteAhead : LIMITS.writeAhead);
  }

  /** @param bytes of the memory that a write holds */
  add(bytes: number): void {
    this.#count(Math.max(bytes, LEAST));
  }

  /** It has been written. */
  remove(bytes: number): void {
    this.#count(-Math.max(bytes, LEAST));
  }

  #count(bytes: number): void {
    if (this.#isOver) return;
    this.#mine += bytes;
    ofAll += bytes;
  }
}
