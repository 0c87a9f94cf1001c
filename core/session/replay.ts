/**
 * What was sent and not yet acknowledged, kept so that a new carrier can go on where the peer has got to. Pure.
 * A write callback is not delivery: only the peer's acknowledgement frees a byte. The window of the session bounds it.
 */

import type { KeptFrame } from './frame-memory.ts';
import { NOTHING } from './frames.ts';

/** What keeping one frame costs beside its bytes, so that many small ones are bounded too. */
const FRAME_COST = 256;
/** Frames before the first that is kept, at which the row is cut: taking one off its front would move all others. */
const MOST_GONE = 1024;

const GONE: KeptFrame = { bytes: NOTHING, slab: undefined };

export class ReplayBuffer {
  readonly #free: (frame: KeptFrame) => void;
  #frames: KeptFrame[] = [];
  /** Index of the first frame that is kept. */
  #first = 0;
  /** Offset of the first byte that is kept, and of the next that will be sent. */
  #start = 0;
  #end = 0;

  /** @param release called for each frame that is acknowledged, in their order */
  constructor(release: (frame: KeptFrame) => void) {
    this.#free = release;
  }

  /** Bytes that the peer has not acknowledged. */
  get size(): number {
    return this.#end - this.#start;
  }

  /** Memory that they take. */
  get cost(): number {
    return this.size + (this.#frames.length - this.#first) * FRAME_COST;
  }

  /** Offset after the last byte sent. */
  get end(): number {
    return this.#end;
  }

  append(frame: KeptFrame): void {
    this.#frames.push(frame);
    this.#end += frame.bytes.length;
  }

  /** Frees all frames before `offset`; false if no frame ends there (an offset that cannot be). */
  acknowledge(offset: number): boolean {
    const index = this.#find(offset);
    if (index === undefined) return false;
    for (let gone = this.#first; gone < index; gone += 1) {
      this.#free(this.#frames[gone] as KeptFrame);
      this.#frames[gone] = GONE;
    }
    this.#start = offset;
    this.#first = index;
    if (this.#first > MOST_GONE || this.size === 0) {
      this.#frames = this.#frames.slice(this.#first);
      this.#first = 0;
    }
    return true;
  }

  /** Whether the peer can have processed exactly `offset` bytes of what is kept. */
  isBoundary(offset: number): boolean {
    return this.#find(offset) !== undefined;
  }

  /** All that the peer does not have yet, oldest first. */
  *pending(): Generator<KeptFrame> {
    for (let index = this.#first; index < this.#frames.length; index += 1) yield this.#frames[index] ?? GONE;
  }

  /** The frame that begins at `offset`. */
  #find(offset: number): number | undefined {
    if (offset < this.#start || offset > this.#end) return undefined;
    let index = this.#first;
    let at = this.#start;
    for (; at < offset; index += 1) at += (this.#frames[index] ?? GONE).bytes.length;
    return at === offset ? index : undefined;
  }
}
