/**
 * Who may come in at all, and how many: asked before anything is spent on a connection, and again when it is known who it
 * is. One for a gateway.
 *
 * - A connection *arrives* until it has proved who it is. How many may do so is limited, by door and by source; when a door
 *   is full, the one that has dawdled longest is cut, so that slow clients keep nobody out. After 15 s each is cut, whatever
 *   it sends.
 * - Limits and penalties by source do not apply to this machine (loopback, UNIX sockets), unless they are set to.
 * - Every refusal has its reason and its counter (tally.ts).
 */
import { SluiceError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Arrival, Fields, Identity, Log } from '../../plugins/contract/index.ts';
import { Commands, type Turn } from './commands.ts';
import { Counts } from './counts.ts';
import { admissionLimits, type AdmissionLimits, type IdentityLimits } from './limits.ts';
import { Penalties, Rate } from './rates.ts';
import { sourceOf } from './sources.ts';
import { Tally } from './tally.ts';

/** What one door counts. */
export class Arrivals {
  /** The oldest first. */
  readonly waiting = new Set<Waiting>();
  /** Whether each costs a handshake of TLS. */
  readonly isCostly: boolean;
  constructor(isCostly: boolean) {
    this.isCostly = isCostly;
  }
}

interface Waiting {
  readonly source: string | undefined;
  readonly cut: (reason: string) => void;
}

const BARRED = 'its source has failed to prove who it is too often, and waits';

const ratesOf = ({ handshakes, handshakesPerSource, ratePerIdentity }: AdmissionLimits) => ({
  handshakes: new Rate(handshakes),
  perSource: new Rate(handshakesPerSource),
  perIdentity: new Rate(ratePerIdentity),
});

const busy = (limit: string): SluiceError => new SluiceError('SLUICE_BUSY', limit);

export class Admission {
  #limits: AdmissionLimits;
  readonly #ownLimits: (name: string) => Partial<IdentityLimits> | undefined;
  readonly #tally: Tally;
  readonly #queued: Tally;
  readonly #penalties = new Penalties();
  #rates: { readonly handshakes: Rate; readonly perSource: Rate; readonly perIdentity: Rate };
  readonly #arrivingOf = new Counts();
  readonly #connectionsOf = new Counts();
  readonly #commands: Commands;
  /** What settles an arrival. */
  readonly #settling = new WeakMap<Arrival, () => void>();
  #sockets = 0;
  #connections = 0;

  /** @param ownLimits what an identity has of its own */
  constructor(
    log: Log,
    limits: AdmissionLimits = admissionLimits(),
    ownLimits: (name: string) => Partial<IdentityLimits> | undefined = () => undefined,
  ) {
    this.#limits = limits;
    this.#ownLimits = ownLimits;
    this.#rates = ratesOf(limits);
    this.#tally = new Tally(log, 'connection refused', 'more connections refused');
    this.#queued = new Tally(log, 'commands wait for their turn', 'more commands have waited');
    this.#commands = new Commands((name) => this.limitsOf(name), {
      waits: (reason, fields) => this.#queued.add(reason, fields),
      refused: (reason, fields) => this.#tally.add(reason, fields),
    });
  }

  get limits(): AdmissionLimits {
    return this.#limits;
  }

  /** From now on; what is there already stays. */
  limit(limits: AdmissionLimits): void {
    this.#limits = limits;
    this.#rates = ratesOf(limits);
    this.advance();
  }

  /** Those of one identity. */
  limitsOf(name: string | undefined): AdmissionLimits {
    const own = name === undefined ? undefined : this.#ownLimits(name);
    return own === undefined ? this.#limits : { ...this.#limits, ...own };
  }

  /** A limit is another now: whoever waits may not have to. */
  advance(): void {
    this.#commands.advance();
  }

  /** Refusals by reason, since the start. */
  get refused(): Readonly<Record<string, number>> {
    return this.#tally.counts;
  }

  /** Commands that had to wait for their turn, by reason, since the start. */
  get queued(): Readonly<Record<string, number>> {
    return this.#queued.counts;
  }

  /** Commands that wait now. */
  get waiting(): number {
    return this.#commands.waiting;
  }

  /** A connection at a door; `undefined`: it is to be closed. */
  arrive(door: Arrivals, peer: string, cut: () => void): Arrival | undefined {
    const source = sourceOf(peer, this.limits.loopback);
    const refusal = this.#refusal(door, source);
    if (refusal !== undefined) {
      this.#tally.add(refusal, { peer });
      return undefined;
    }
    const [oldest] = door.waiting;
    if (door.waiting.size >= this.limits.arriving)
      oldest?.cut('too many had not yet proved who they are; this one had waited longest');
    return this.#wait(door, source, (reason) => {
      this.#tally.add(reason, { peer });
      cut();
    });
  }

  #wait(door: Arrivals, source: string | undefined, cut: (reason: string) => void): Arrival {
    const late = setTimeout(() => {
      this.#penalise(source);
      waiting.cut(`it has not proved who it is within ${LIMITS.arrivalTime / 1000} s`);
    }, LIMITS.arrivalTime);
    let [isWaiting, isOpen] = [true, true];
    const settle = (): void => {
      if (!isWaiting) return;
      isWaiting = false;
      clearTimeout(late);
      door.waiting.delete(waiting);
      this.#arrivingOf.change(source, -1);
    };
    const waiting: Waiting = {
      source,
      cut: (reason) => {
        settle();
        cut(reason);
      },
    };
    door.waiting.add(waiting);
    this.#arrivingOf.change(source, 1);
    this.#sockets += 1;
    const arrival: Arrival = {
      release: () => {
        settle();
        if (isOpen) this.#sockets -= 1;
        isOpen = false;
      },
    };
    this.#settling.set(arrival, settle);
    return arrival;
  }

  /** It is known who it is, or that nobody cares. */
  settle(arrival: Arrival | undefined): void {
    if (arrival !== undefined) this.#settling.get(arrival)?.();
  }

  #refusal({ isCostly }: Arrivals, source: string | undefined): string | undefined {
    const now = performance.now();
    const { limits } = this;
    if (this.#sockets + this.#connections + 3 * this.#commands.running + 2 > limits.descriptors)
      return `no descriptors are left (${limits.descriptors})`;
    if (this.#sockets >= limits.connections) return `${limits.connections} connections are open, which is the limit`;
    if (source !== undefined) {
      if (this.#penalties.isBarred(source, now)) return BARRED;
      if (this.#arrivingOf.get(source) >= limits.arrivingPerSource)
        return `${limits.arrivingPerSource} of its source have not yet proved who they are`;
      if (isCostly && !this.#rates.perSource.take(source, now))
        return `more than ${limits.handshakesPerSource} handshakes a second of its source`;
    }
    return isCostly && !this.#rates.handshakes.take('', now)
      ? `more than ${limits.handshakes} handshakes a second`
      : undefined;
  }

  /** Behind a proxy it is known only now where somebody comes from. */
  isBarred(peer: string): boolean {
    const source = sourceOf(peer, this.limits.loopback);
    const isBarred = source !== undefined && this.#penalties.isBarred(source, performance.now());
    if (isBarred) this.#tally.add(BARRED, { peer });
    return isBarred;
  }

  /** Somebody showed what is nobody's, or was not allowed. */
  failed(peer: string): void {
    this.#penalise(sourceOf(peer, this.limits.loopback));
  }

  #penalise(source: string | undefined): void {
    if (source !== undefined) this.#penalties.add(source, performance.now());
  }

  /**
   * A connection begins, and what it leads to may be a command, which has to wait for its turn.
   *
   * @throws SluiceError SLUICE_BUSY that tells the limit
   */
  enter(identity: Identity | undefined, isCommand: boolean, peer: string): Turn {
    const name = identity?.name;
    const fields: Fields = { peer, ...(name !== undefined && { identity: name }) };
    const refusal = this.#refuseEntry(name, isCommand);
    if (refusal !== undefined) {
      this.#tally.add(refusal, fields);
      throw busy(refusal);
    }
    const count = (by: 1 | -1): void => {
      this.#connections += by;
      this.#connectionsOf.change(name, by);
    };
    count(1);
    const command = isCommand ? this.#commands.enter({ name, fields }) : undefined;
    return {
      come: async (signal) => command?.come(signal),
      leave: () => {
        count(-1);
        command?.leave();
      },
    };
  }

  #refuseEntry(name: string | undefined, isCommand: boolean): string | undefined {
    const limits = this.limitsOf(name);
    if (this.#connections >= limits.connections)
      return `${limits.connections} connections are open, which is the limit`;
    if (name !== undefined && this.#connectionsOf.get(name) >= limits.connectionsPerIdentity)
      return `${limits.connectionsPerIdentity} connections of this identity are open, which is the limit`;
    const noTurn = isCommand ? this.#commands.refusal(name) : undefined;
    if (noTurn !== undefined || name === undefined) return noTurn;
    return this.#rates.perIdentity.take(name, performance.now(), limits.ratePerIdentity)
      ? undefined
      : `more than ${limits.ratePerIdentity} new connections a second of this identity`;
  }
}
