/**
 * Commands: each is a process, or several, so only so many run, of all and of one identity. Whoever comes when these are
 * enough waits for a turn.
 *
 * - The first whose own limit lets it goes next: an identity that has all its commands holds up nobody behind it.
 * - The queue is bounded. Where it is full, whoever has most in it gives up the last of them to a newcomer who has fewer, so
 *   that no identity can fill it.
 * - Nobody waits longer than `LIMITS.commandWait`, and who goes away waits no more.
 */
import { SluiceError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Fields } from '../../plugins/contract/index.ts';
import { Counts } from './counts.ts';
import type { AdmissionLimits } from './limits.ts';

export type CommandLimits = Pick<AdmissionLimits, 'commands' | 'commandsPerIdentity' | 'commandsWaiting'>;

/** Whose command it is. */
export interface Asking {
  readonly name: string | undefined;
  /** For the log. */
  readonly fields: Fields;
}

interface Place extends Asking {
  readonly called: PromiseWithResolvers<void>;
  runs: boolean;
  deadline?: NodeJS.Timeout;
}

/** A command that runs, or waits. */
export interface Turn {
  /** Resolves when it may run. @throws SluiceError SLUICE_BUSY where its turn does not come; the signal's reason */
  come(signal: AbortSignal): Promise<void>;
  /** It has ended, or will not run. */
  leave(): void;
}

export class Commands {
  readonly #limitsOf: (name: string | undefined) => CommandLimits;
  readonly #waits: (reason: string, fields: Fields) => void;
  readonly #refused: (reason: string, fields: Fields) => void;
  readonly #runningOf = new Counts();
  /** The longest waiting first. */
  readonly #waiting = new Set<Place>();
  #running = 0;

  constructor(
    limitsOf: (name: string | undefined) => CommandLimits,
    tell: Readonly<Record<'waits' | 'refused', (reason: string, fields: Fields) => void>>,
  ) {
    this.#limitsOf = limitsOf;
    this.#waits = tell.waits;
    this.#refused = tell.refused;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Why there is no room, not even to wait. */
  refusal(name: string | undefined): string | undefined {
    const limit = this.#limit(name);
    const { commandsWaiting: most } = this.#limitsOf(name);
    const left = most - this.#waiting.size;
    if (limit === undefined || left > 0 || (left === 0 && this.#yielding(name) !== undefined)) return undefined;
    return `${limit}, and ${most} wait for their turn`;
  }

  /** After `refusal` has said that there is room. */
  enter(asking: Asking): Turn {
    const place: Place = { ...asking, called: Promise.withResolvers(), runs: false };
    place.called.promise.catch(() => {}); // nobody may have asked yet
    const limit = this.#limit(asking.name);
    if (limit === undefined) this.#run(place);
    else this.#queue(place, limit);
    return { come: (signal) => this.#come(place, signal), leave: () => this.#leave(place) };
  }

  /** Calls whoever may run now: something has ended, or a limit is another. */
  advance(): void {
    for (const place of this.#waiting) if (this.#limit(place.name) === undefined) this.#run(place);
  }

  #limit(name: string | undefined): string | undefined {
    const { commands, commandsPerIdentity } = this.#limitsOf(name);
    if (this.#running >= commands) return `${commands} commands run, which is the limit`;
    return name !== undefined && this.#runningOf.get(name) >= commandsPerIdentity
      ? `${commandsPerIdentity} commands of this identity run, which is the limit`
      : undefined;
  }

  #run(place: Place): void {
    this.#forget(place);
    place.runs = true;
    this.#running += 1;
    this.#runningOf.change(place.name, 1);
    place.called.resolve();
  }

  #queue(place: Place, limit: string): void {
    if (this.#waiting.size >= this.#limitsOf(place.name).commandsWaiting)
      this.#refuse(this.#yielding(place.name), 'too many commands wait, and most of them are of this identity');
    const late = (): void =>
      this.#refuse(place, `${limit}, and its turn did not come in ${LIMITS.commandWait / 1000} s`);
    place.deadline = setTimeout(late, LIMITS.commandWait);
    this.#waiting.add(place);
    this.#waits(limit, place.fields);
  }

  /** The last of whoever has most in the queue, if they have more than the newcomer would. */
  #yielding(name: string | undefined): Place | undefined {
    const owners = Map.groupBy(this.#waiting, (place) => place.name);
    const most = [...owners.values()].reduce((one, other) => (other.length > one.length ? other : one), []);
    return most.length > (owners.get(name)?.length ?? 0) + 1 ? most.at(-1) : undefined;
  }

  #refuse(place: Place | undefined, reason: string): void {
    if (place === undefined) return;
    this.#forget(place);
    this.#refused(reason, place.fields);
    place.called.reject(new SluiceError('SLUICE_BUSY', reason));
  }

  async #come(place: Place, signal: AbortSignal): Promise<void> {
    const onAbort = (): void => {
      if (this.#forget(place)) place.called.reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (signal.aborted) onAbort();
      await place.called.promise;
      signal.throwIfAborted();
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Whether it was waiting. */
  #forget(place: Place): boolean {
    clearTimeout(place.deadline);
    return this.#waiting.delete(place);
  }

  #leave(place: Place): void {
    this.#forget(place);
    if (!place.runs) return;
    place.runs = false;
    this.#running -= 1;
    this.#runningOf.change(place.name, -1);
    this.advance();
  }
}
