/**
 * Frames that go before any stream's data: OPEN and its answers, RESET, GOAWAY, and credit. Credit is kept as the
 * stream that has it to give, not as a frame, so that a peer that never reads gets no row of them. The rest is bounded.
 */
import { FRAME, encodeFrame, u32, type FrameType } from './frames.ts';
import type { SessionStream } from './stream.ts';

/** Bytes that may wait: a thousand refusals with the longest reason, and several times that. */
export const MOST_CONTROL = 4 * 1024 * 1024;
/** What keeping one frame costs beside its bytes. */
const FRAME_COST = 256;

export class ControlQueue {
  readonly #credits = new Set<SessionStream>();
  #frames: Buffer[] = [];
  #next = 0;
  /** Memory that the frames take. */
  cost = 0;

  get isEmpty(): boolean {
    return this.#next === this.#frames.length && this.#credits.size === 0;
  }

  push(type: FrameType, stream: number, payload: Buffer): void {
    const frame = encodeFrame(type, stream, payload);
    this.#frames.push(frame);
    this.cost += frame.length + FRAME_COST;
  }

  grant(stream: SessionStream): void {
    this.#credits.add(stream);
  }

  /** A stream that is over wants no more. */
  forget(stream: SessionStream): void {
    this.#credits.delete(stream);
  }

  next(): Buffer | undefined {
    const frame = this.#frames[this.#next];
    if (frame === undefined) return this.#nextCredit();
    this.#next += 1;
    this.cost -= frame.length + FRAME_COST;
    if (this.#next === this.#frames.length) {
      this.#frames = [];
      this.#next = 0;
    }
    return frame;
  }

  #nextCredit(): Buffer | undefined {
    for (const stream of this.#credits) {
      this.#credits.delete(stream);
      const bytes = stream.takeCredit();
      if (bytes > 0) return encodeFrame(FRAME.CREDIT, stream.id, u32(bytes));
    }
    return undefined;
  }
}
