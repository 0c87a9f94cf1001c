/**
 * Streams that are over on this side, and of which the far side has not acknowledged everything: what was sent is delivered
 * only then, and lost if the session ends before. Pure.
 */
import type { SessionStream } from './stream.ts';

export class Deliveries {
  /** In the order of their offsets. */
  #waiting: { readonly offset: number; readonly stream: SessionStream }[] = [];

  /** @param offset after the last byte that concerns the stream @param acknowledged what the far side has by now */
  add(stream: SessionStream, offset: number, acknowledged: number): void {
    if (offset <= acknowledged) stream.settle(true);
    else this.#waiting.push({ offset, stream });
  }

  acknowledged(offset: number): void {
    const count = this.#waiting.findIndex((one) => one.offset > offset);
    for (const { stream } of this.#waiting.splice(0, count < 0 ? this.#waiting.length : count)) stream.settle(true);
  }

  /** The session is over. */
  lost(): void {
    for (const { stream } of this.#waiting.splice(0)) stream.settle(false);
  }
}
