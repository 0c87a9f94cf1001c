/** Counts what we have processed, and acknowledges it: at once after 128 KiB, a moment later what is less. */
const AT_ONCE = 128 * 1024;
/** ms. */
const DELAY = 10;

export class Receipts {
  readonly #send: (processed: number) => void;
  #processed = 0;
  #acknowledged = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (processed: number) => void) {
    this.#send = send;
  }

  /** Bytes of counted frames. */
  get processed(): number {
    return this.#processed;
  }

  count(bytes: number): void {
    this.#processed += bytes;
    if (this.#processed - this.#acknowledged >= AT_ONCE) this.acknowledge();
    else this.#timer ??= setTimeout(() => this.#onTime(), DELAY);
  }

  /** Nothing is sent any more, until something is counted: the offset travels with the next handshake. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Tells it now. */
  acknowledge(): void {
    this.#acknowledged = this.#processed;
    this.#send(this.#processed);
  }

  /** The timer is not stopped by what was told meanwhile: setting it anew each time would cost more than this look. */
  #onTime(): void {
    this.#timer = undefined;
    if (this.#processed > this.#acknowledged) this.acknowledge();
  }
}
