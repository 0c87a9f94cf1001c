/** What was refused, or had to wait, by reason: counted for good, and told so that a flood does not drown the log. */
import type { Log } from '../../plugins/contract/index.ts';

/** ms. */
const WINDOW = 10_000;

export class Tally {
  readonly #log: Log;
  readonly #first: string;
  readonly #more: string;
  readonly #total = new Map<string, number>();
  /** In this window, beyond the one that was told. */
  readonly #untold = new Map<string, number>();

  /**
   * @param first what is told of the first of a kind
   * @param more what is told of the others
   */
  constructor(log: Log, first: string, more: string) {
    this.#log = log;
    this.#first = first;
    this.#more = more;
  }

  /** Reasons and how often, since the start. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#total);
  }

  /** The first of a kind is told at once, the others of ten seconds together. */
  add(reason: string, fields: Readonly<Record<string, unknown>>): void {
    this.#total.set(reason, (this.#total.get(reason) ?? 0) + 1);
    const untold = this.#untold.get(reason);
    if (untold !== undefined) return void this.#untold.set(reason, untold + 1);
    this.#untold.set(reason, 0);
    this.#log.warn(this.#first, { ...fields, reason });
    setTimeout(() => this.#close(reason), WINDOW).unref();
  }

  #close(reason: string): void {
    const count = this.#untold.get(reason) ?? 0;
    this.#untold.delete(reason);
    if (count > 0)
      this.#log.warn(this.#more, {
        reason,
        count,
        total: this.#total.get(reason),
        seconds: WINDOW / 1000,
      });
  }
}
