/**
 * Blocks that a socket is read into and whose bytes go from hand to hand in pieces, until whoever reads a piece last gives it
 * back; a block that has all of its bytes again is used again. At full rate the collector would otherwise take a third of what
 * the receiving gateway computes.
 *
 * Who does not give back costs no more than that: the block is then left to the collector. Bytes are counted, not pieces,
 * so that pieces may be cut further on their way.
 */
import { LARGEST_BLOCK, giveBack as giveBlockBack, takeBlock } from './block-pool.ts';

/** By the memory of a piece. */
const lent = new WeakMap<ArrayBufferLike, LentBlock>();

export class LentBlock {
  readonly bytes = takeBlock(LARGEST_BLOCK);
  /** Bytes that have been handed on, and not come back. */
  #out = 0;
  #isLeft = false;

  constructor() {
    lent.set(this.bytes.buffer, this);
  }

  /** Nobody but its owner has any of it. */
  get isWhole(): boolean {
    return this.#out === 0;
  }

  /** So many bytes of it are handed on. */
  lend(count: number): void {
    this.#out += count;
  }

  giveBack(count: number): void {
    this.#out -= count;
    this.#reuse();
  }

  /** Its owner lends no more of it. */
  leave(): void {
    this.#isLeft = true;
    this.#reuse();
  }

  /** It is forgotten first: whoever takes the block next need not lend it. */
  #reuse(): void {
    if (!this.#isLeft || this.#out !== 0 || !lent.delete(this.bytes.buffer)) return;
    giveBlockBack(this.bytes);
  }
}

/** @param bytes nobody reads them any more; those that are not lent are left alone @param count of them that come back now */
export function giveBack(bytes: Buffer, count = bytes.length): void {
  if (count > 0) lent.get(bytes.buffer)?.giveBack(count);
}
