/**
 * What was sent and not yet acknowledged, kept so that a new carrier can go on where the peer has got to. Pure.
 * A write callback is not delivery: only the peer's acknowledgement frees a byte. The window of the session bounds it.
 */
export class ReplayBuffer {
  #frames: Buffer[][] = [];
  /** Offset of the first byte that is kept, and of the next that will be sent. */
  #start = 0;
  #end = 0;

  /** Bytes that the peer has not acknowledged. */
  get size(): number {
    return this.#end - this.#start;
  }

  /** Offset after the last byte sent. */
  get end(): number {
    return this.#end;
  }

  /** Keeps one whole frame, in the pieces in which it was written. */
  append(pieces: Buffer[]): void {
    this.#frames.push(pieces);
    for (const { length } of pieces) this.#end += length;
  }

  /** Frees all frames before `offset`; false if no frame ends there (an offset that cannot be). */
  acknowledge(offset: number): boolean {
    if (!this.isBoundary(offset)) return false;
    while (this.#start < offset) for (const { length } of this.#frames.shift() ?? []) this.#start += length;
    return true;
  }

  /** Whether the peer can have processed exactly `offset` bytes of what is kept. */
  isBoundary(offset: number): boolean {
    let at = this.#start;
    if (offset < at || offset > this.#end) return false;
    for (const pieces of this.#frames) {
      if (at >= offset) break;
      for (const { length } of pieces) at += length;
    }
    return at === offset;
  }

  /** All that the peer does not have yet, oldest first. */
  *pending(): Generator<Buffer> {
    for (const pieces of this.#frames) yield* pieces;
  }
}
