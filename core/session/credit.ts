/**
 * Credit: how many bytes of a stream may be on their way or unread, in one direction. Pure; times in ms come from the
 * caller. The receiver grants what it is willing to hold, so that a stalled stream holds a bounded amount and slows no
 * other.
 */
import { ProtocolError } from './frames.ts';

export const FIRST_CREDIT = 1024 * 1024;
export const LARGEST_CREDIT = 16 * 1024 * 1024;

/** Bytes beyond the first credit that all streams of a session together may be granted at once. */
const MOST_GROWTH = 256 * 1024 * 1024;

/** What the grants of one session may still grow by: sixteen of them to the largest, or many by less. */
export class GrowthBudget {
  left = MOST_GROWTH;
}

/** What we may still send. */
export class Allowance {
  left = FIRST_CREDIT;

  /** @throws ProtocolError if nobody could grant so much */
  add(bytes: number): void {
    this.left += bytes;
    if (this.left > 2 * LARGEST_CREDIT) throw new ProtocolError('more credit than anybody may grant');
  }
}

/** What we have granted. It begins at 1 MiB, and doubles while half of it is used up within two round trips. */
export class Grant {
  readonly #budget: GrowthBudget;
  #size = FIRST_CREDIT;
  /** What the peer may still send. */
  #outstanding = FIRST_CREDIT;
  #grantedAt = 0;

  constructor(budget: GrowthBudget) {
    this.#budget = budget;
  }

  /** @throws ProtocolError if the peer had no right to so much */
  spend(bytes: number): void {
    this.#outstanding -= bytes;
    if (this.#outstanding < 0) throw new ProtocolError(`${-this.#outstanding} bytes more than were granted`);
  }

  /** Whether a grant is worth a frame: half of what we are willing to hold is neither unread nor granted. */
  isDue(held: number): boolean {
    return this.#size - this.#outstanding - held >= this.#size / 2;
  }

  /** Grants all that is free, and tells how much that is. @param held bytes that nobody has read yet */
  renew(held: number, now: number, roundTrip: number | undefined): number {
    const isFast = roundTrip !== undefined && now - this.#grantedAt < 2 * roundTrip;
    if (isFast) this.#grow(Math.min(this.#size, LARGEST_CREDIT - this.#size, this.#budget.left));
    this.#grantedAt = now;
    const free = Math.max(this.#size - this.#outstanding - held, 0);
    this.#outstanding += free;
    return free;
  }

  /** The stream is over. */
  release(): void {
    this.#grow(FIRST_CREDIT - this.#size);
  }

  #grow(bytes: number): void {
    this.#size += bytes;
    this.#budget.left -= bytes;
  }
}
