/**
 * How many bytes may be on their way unacknowledged: enough to fill the path, not so many that a small write waits
 * behind megabytes in the kernel. Pure; times in ms come from the caller.
 *
 * It goes toward twice rate × least round trip. The least, not the mean: a round trip that our own queue has swollen
 * must not make the queue longer (the idea is BBR's). It grows only while it is what holds us back.
 */
export const FIRST_WINDOW = 512 * 1024;
export const LARGEST_WINDOW = 32 * 1024 * 1024;
/** ms after which a least round trip is forgotten: paths change. */
const ROUND_TRIP_LIFE = 10_000;

export class SendWindow {
  #size = FIRST_WINDOW;
  #least = Number.POSITIVE_INFINITY;
  #leastSeen = 0;
  /** A mark in the stream of bytes: when it is acknowledged, one round trip has passed. */
  #mark: { offset: number; at: number; acknowledged: number } | undefined;
  #wasFull = false;

  get size(): number {
    return this.#size;
  }

  /** ms, the least seen of late; `undefined` before the first. */
  get roundTrip(): number | undefined {
    return Number.isFinite(this.#least) ? this.#least : undefined;
  }

  /** @param offset after the bytes just sent @param acknowledged offset that the peer has acknowledged so far */
  sent(offset: number, acknowledged: number, now: number): void {
    this.#mark ??= { offset, at: now, acknowledged };
  }

  /** More would have been sent, had the window been larger. */
  blocked(): void {
    this.#wasFull = true;
  }

  acknowledged(offset: number, now: number): void {
    const mark = this.#mark;
    if (mark === undefined || offset < mark.offset) return;
    const elapsed = Math.max(now - mark.at, 0.01);
    this.measured(elapsed, now);
    const rate = (offset - mark.acknowledged) / elapsed;
    const wanted = 2 * rate * this.#least;
    if (this.#wasFull && wanted > this.#size) this.#size = Math.min(wanted, 2 * this.#size, LARGEST_WINDOW);
    this.#mark = undefined;
    this.#wasFull = false;
  }

  /** A round trip, measured by a ping or by an acknowledgement. */
  measured(roundTrip: number, now: number): void {
    if (roundTrip > this.#least && now - this.#leastSeen < ROUND_TRIP_LIFE) return;
    this.#least = roundTrip;
    this.#leastSeen = now;
  }

  /** A new carrier: another path. What is unacknowledged keeps its bound. */
  restart(): void {
    this.#mark = undefined;
    this.#least = Number.POSITIVE_INFINITY;
  }
}
