/**
 * Measures round trips by PING. `ask` measures as things are. `empty` measures the path and not our own queue: it asks once,
 * so that the answer comes when everything sent before has gone, and again on the empty path; the second answer counts, and
 * meanwhile the sender holds its data. Pure; times in ms come from the caller.
 */
export interface Measured {
  readonly roundTrip: number;
  /** Of the path alone. */
  readonly wasEmpty: boolean;
}

export class RoundTripProbe {
  readonly #ping: () => void;
  #step: 'none' | 'asking' | 'emptying' | 'measuring' = 'none';
  #askedAt = 0;

  constructor(ping: () => void) {
    this.#ping = ping;
  }

  /** No data may be sent now. */
  get isHolding(): boolean {
    return this.#step === 'emptying' || this.#step === 'measuring';
  }

  ask(now: number): void {
    if (this.#step === 'none') {
      this.#step = 'asking';
      this.#askedAt = now;
    }
    this.#ping();
  }

  empty(): void {
    if (this.isHolding) return;
    this.#step = 'emptying';
    this.#ping();
  }

  /** For a new carrier. */
  stop(): void {
    this.#step = 'none';
  }

  answered(now: number): Measured | undefined {
    const step = this.#step;
    if (step === 'none') return undefined;
    if (step === 'emptying') {
      this.#step = 'measuring';
      this.#askedAt = now;
      this.#ping();
      return undefined;
    }
    this.#step = 'none';
    return { roundTrip: now - this.#askedAt, wasEmpty: step === 'measuring' };
  }
}
