/** Rates and penalties, each by a key, with bounded memory. Pure: the caller tells the time. */

/** Entries of one table: more than one machine's peers, and some 10 MB. */
const MOST = 65_536;

/** A map that forgets what was touched longest ago. */
class Recent<T> {
  readonly #entries = new Map<string, T>();

  get(key: string): T | undefined {
    return this.#entries.get(key);
  }

  set(key: string, value: T): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MOST && oldest !== undefined) this.#entries.delete(oldest);
  }
}

/** So many a second, twice as many at once. */
export class Rate {
  readonly #perSecond: number;
  readonly #buckets = new Recent<{ left: number; at: number }>();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /**
   * @param now ms
   * @param perSecond where it is another for this key
   */
  take(key: string, now: number, perSecond: number = this.#perSecond): boolean {
    const burst = perSecond * 2;
    const { left, at } = this.#buckets.get(key) ?? { left: burst, at: now };
    const have = Math.min(burst, left + ((now - at) * perSecond) / 1000);
    this.#buckets.set(key, { left: have < 1 ? have : have - 1, at: now });
    return have >= 1;
  }
}

/** ms, as sshd's PerSourcePenalties: what a failure costs, from where it counts (three within a second), and the most. */
const PENALTY = { each: 5_000, from: 14_000, most: 600_000 };

/** Who has failed to prove who they are, too often, waits until all that has come together is over. */
export class Penalties {
  readonly #entries = new Recent<{ until: number; isBarred: boolean }>();

  add(key: string, now: number): void {
    const { until, isBarred } = this.#current(key, now);
    const next = Math.min(until + PENALTY.each, now + PENALTY.most);
    this.#entries.set(key, { until: next, isBarred: isBarred || next - now >= PENALTY.from });
  }

  isBarred(key: string, now: number): boolean {
    return this.#current(key, now).isBarred;
  }

  #current(key: string, now: number): { until: number; isBarred: boolean } {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.until > now ? entry : { until: now, isBarred: false };
  }
}
