/**
 * How many bytes may be on their way unacknowledged: enough to fill the path, not so many that a small write waits
 * behind megabytes in the kernel. Pure; times in ms come from the caller.
 *
 * It goes toward twice rate × least round trip. The least, not the mean: a round trip that our own queue has swollen
 * must not make the queue longer (the idea is BBR's). It changes only while it is what holds us back. After a while the
 * least is measured anew, on an emptied path (round-trip-probe.ts): paths change, in both directions.
 */
export const FIRST_WINDOW = 512 * 1024;
export const LARGEST_WINDOW = 32 * 1024 * 1024;
/** ms after which a least round trip is measured anew. */
const ROUND_TRIP_LIFE = 10_000;

export class SendWindow {
  #size = FIRST_WINDOW;
  #least = Number.POSITIVE_INFINITY;
  #leastSeen = 0;
  /** Bytes per ms, of late. */
  #rate = 0;
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

  /** True if the round trip should be measured anew: it holds us back, and is old. */
  acknowledged(offset: number, now: number): boolean {
    const mark = this.#mark;
    if (mark === undefined || offset < mark.offset) return false;
    const elapsed = Math.max(now - mark.at, 0.01);
    this.seen(elapsed, now);
    this.#rate = (offset - mark.acknowledged) / elapsed;
    const isHeldBack = this.#wasFull;
    if (isHeldBack) this.#adapt(this.#wanted());
    this.#mark = undefined;
    this.#wasFull = false;
    return isHeldBack && now - this.#leastSeen > ROUND_TRIP_LIFE;
  }

  /** A round trip, perhaps swollen by what was sent before. */
  seen(roundTrip: number, now: number): void {
    if (roundTrip > this.#least) return;
    this.#least = Math.max(roundTrip, 0.01);
    this.#leastSeen = now;
  }

  /** The round trip of the path itself: it takes the place of what was known, and the window may shrink to it. */
  measured(roundTrip: number, now: number): void {
    this.#least = Math.max(roundTrip, 0.01);
    this.#leastSeen = now;
    this.#size = Math.round(Math.max(FIRST_WINDOW, Math.min(this.#size, this.#wanted())));
  }

  /** A new carrier: another path. What is unacknowledged keeps its bound. */
  restart(): void {
    this.#mark = undefined;
    this.#least = Number.POSITIVE_INFINITY;
  }

  /** Up at once, down slowly: one burst of acknowledgements must neither stay in the window nor empty it. */
  #adapt(wanted: number): void {
    const next = wanted > this.#size ? Math.min(wanted, 2 * this.#size) : this.#size - (this.#size - wanted) / 8;
    this.#size = Math.round(Math.max(FIRST_WINDOW, next));
  }

  #wanted(): number {
    return this.#rate === 0 ? this.#size : Math.min(2 * this.#rate * this.#least, LARGEST_WINDOW);
  }
}
