/**
 * Small pieces of a stream that arrive while nobody reads. A few bytes must not keep the chunk of the carrier in which they
 * came, and a frame of one byte must not cost a buffer of its own: a peer could take hundreds of times what it was granted.
 */
import type { Readable } from 'node:stream';
import type { GiveBack } from '../lending.ts';
import type { Frame } from './frames.ts';

/** Bytes of a payload below which it is copied. */
export const SMALL = 8 * 1024;
const BLOCK = 2 * SMALL;
/** How many times its own bytes a piece may keep: four full frames, with headers, are as long as the largest block that carriers read into. */
const MOST_PINNED = 5;

/**
 * What is to be pushed to a stream for a piece of a carrier's bytes. Where nobody reads at once it is kept, and would keep all
 * of the memory that it came in: then it is copied, so that credit, and what a session is said to hold, are real memory.
 */
export function keepable(piece: Buffer, target: Readable, giveBack: GiveBack): Buffer {
  const isReadAtOnce = target.readableFlowing === true && target.readableLength === 0;
  if (isReadAtOnce || piece.length >= piece.buffer.byteLength / MOST_PINNED) return piece;
  const copy = Buffer.allocUnsafeSlow(piece.length);
  piece.copy(copy);
  giveBack(piece);
  return copy;
}

export class SmallFrames {
  readonly #target: Readable;
  readonly #giveBack: GiveBack;
  #block: Buffer | undefined;
  /** Bytes that wait here. */
  size = 0;

  /** @param target gets them, in order with whatever else is pushed after `flush` @param giveBack gets what was copied */
  constructor(target: Readable, giveBack: GiveBack) {
    this.#target = target;
    this.#giveBack = giveBack;
  }

  add({ length, pieces }: Frame): void {
    if (length === 0) return;
    if (this.size + length > BLOCK) this.flush();
    this.#block ??= Buffer.allocUnsafeSlow(this.#target.readableLength === 0 ? length : BLOCK);
    for (const piece of pieces) {
      this.size += piece.copy(this.#block, this.size);
      this.#giveBack(piece);
    }
    if (this.#target.readableLength === 0 || this.size === this.#block.length) this.flush();
  }

  /** To be called before anything else is pushed, and before every read: nothing else would bring what waits here. */
  flush(): void {
    const [block, { size }] = [this.#block, this];
    this.#block = undefined;
    this.size = 0;
    if (block !== undefined) this.#target.push(block.subarray(0, size));
  }
}
