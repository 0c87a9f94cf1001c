/**
 * Deadlines that run only while the session has a carrier: an answer that cannot arrive is not late. All deadlines of one
 * clock are equally long, so the oldest is always the next, and one timer is enough.
 */
export class AttachedClock<K> {
  readonly #length: number;
  readonly #expired: (key: K) => void;
  /** When each is due, in ms of attached time. */
  readonly #due = new Map<K, number>();
  #attachedAt: number | undefined;
  /** ms attached before `attachedAt`. */
  #before = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(milliseconds: number, expired: (key: K) => void) {
    this.#length = milliseconds;
    this.#expired = expired;
  }

  add(key: K): void {
    this.#due.set(key, this.#now() + this.#length);
    this.#schedule();
  }

  delete(key: K): void {
    this.#due.delete(key);
    if (this.#due.size === 0) this.#stop();
  }

  attach(): void {
    this.#attachedAt ??= performance.now();
    this.#schedule();
  }

  detach(): void {
    this.#before = this.#now();
    this.#attachedAt = undefined;
    this.#stop();
  }

  #now(): number {
    return this.#before + (this.#attachedAt === undefined ? 0 : performance.now() - this.#attachedAt);
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(): void {
    const [first] = this.#due.values();
    if (first === undefined || this.#attachedAt === undefined || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.#look(), Math.max(first - this.#now(), 1));
  }

  #look(): void {
    this.#timer = undefined;
    const now = this.#now();
    for (const [key, due] of this.#due) {
      if (due > now) break;
      this.#due.delete(key);
      this.#expired(key);
    }
    this.#schedule();
  }
}
