/**
 * A tunnel: the sessions between this gateway and one other, in which either side opens streams to services of the other.
 * It knows neither how a session came about (dialing.ts, entrance.ts) nor what a service leads to (a link with the source
 * `tunnel:name/service`).
 *
 * Usually there is one session. A far side that comes back while its old one still hangs begins another, and one that moves
 * to a better address does too: the newest that is open has the name, and the older ones carry what they carry to its end.
 */
import { SluiceError } from '../errors.ts';
import { toOutbound } from '../sessions.ts';
import { toMetadata } from '../request.ts';
import type { Inbound, Outbound, Peer, Request } from '../../plugins/contract/index.ts';
import { RefusedError } from '../session/open-request.ts';
import type { Session } from '../session/session.ts';

/** One session of a tunnel, and who is at its other end. */
export interface FarEnd {
  readonly session: Session;
  /** Its name, the same on both sides. */
  readonly id: string;
  /** It came in by an entrance of ours. */
  readonly isListening: boolean;
  /** Where its last carrier leads. */
  peer(): Peer;
}

/** Takes a stream that the far side has opened to a service. */
export type Accept = (inbound: Inbound) => void;

/** Services that are told to the far side at each OPEN, and characters of a name: more than anybody has, and room in the frame. */
const MOST_OFFERED = 64;
const LONGEST_OFFERED = 64;

export class Tunnel {
  readonly name: string;
  /** ms that a new stream waits for a far side that is away. */
  wait: number;
  readonly #services = new Map<string, Accept>();
  /** The newest first. */
  #ends: FarEnd[] = [];
  /** Since when no session is open, and what is known of the reason. */
  #away: { readonly since: number; reason: string } | undefined = { since: performance.now(), reason: 'not there yet' };
  readonly #watchers = new Set<() => void>();

  constructor(name: string, wait: number) {
    this.name = name;
    this.wait = wait;
  }

  /** The sessions that are not over, the newest first. */
  get ends(): readonly FarEnd[] {
    return this.#ends;
  }

  /** Names of services that links offer to the far side. */
  get services(): string[] {
    return [...this.#services.keys()];
  }

  get isOpen(): boolean {
    return this.#ends.some(({ session }) => session.isOpen);
  }

  /** A session that has begun, and has the name from now on. */
  join(end: FarEnd): void {
    this.#ends = [end, ...this.#ends];
    end.session.watch(() => this.#look());
    this.#look();
  }

  /** Why nobody is there, for whoever waits. */
  explain(reason: string): void {
    if (this.#away !== undefined) this.#away.reason = reason;
  }

  /** Calls back whenever the tunnel may have opened or closed. Returns how to stop that. */
  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  /** Offers a service to the far side until the result is called. @throws SluiceError if it is offered already */
  offer(service: string, accept: Accept): () => void {
    if (this.#services.has(service))
      throw new SluiceError('SLUICE_LISTEN', `tunnel "${this.name}" has a service "${service}" already`);
    this.#services.set(service, accept);
    return () => this.#services.delete(service);
  }

  /** A stream that the far side has opened. @throws SluiceError that it is told */
  accept(inbound: Inbound, service: string): void {
    const accept = this.#services.get(service);
    if (accept !== undefined) return accept(inbound);
    const known = this.services.join(', ') || 'none';
    throw new SluiceError('SLUICE_DENIED', `there is no service "${service}" in this tunnel; there are: ${known}`);
  }

  /**
   * Opens a stream to a service of the far side; waits for it if it is away.
   *
   * @param end the session to open it in, where only that one will do
   * @throws SluiceError SLUICE_DIAL, or what the far side said
   */
  async open(service: string, request: Request, signal: AbortSignal, end?: FarEnd): Promise<Outbound> {
    if (end === undefined && !this.isOpen) await this.#untilOpen(signal);
    const ends = end === undefined ? this.#ends.filter(({ session }) => session.isOpen) : [end];
    let refusal: unknown;
    for (const { session } of ends) {
      try {
        return await this.#openIn(session, service, request, signal);
      } catch (error) {
        // An older one of the same far side may offer what the newest does not. A stream that was lost may have begun something.
        if (!(error instanceof RefusedError)) throw error;
        refusal ??= error;
      }
    }
    throw refusal ?? this.#awayError();
  }

  async #openIn(session: Session, service: string, request: Request, signal: AbortSignal): Promise<Outbound> {
    signal.throwIfAborted();
    const offers = this.services.filter(({ length }) => length <= LONGEST_OFFERED).slice(0, MOST_OFFERED);
    const metadata = { ...toMetadata(request), offers };
    const { stream, opened } = session.open({ service, metadata });
    const cancel = (): void => void stream.destroy(signal.reason as Error);
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const { exit } = await opened;
      return toOutbound(stream, exit, { address: `tunnel:${this.name}/${service}` });
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  #look(): void {
    this.#ends = this.#ends.filter(({ session }) => !session.isOver);
    const isOpen = this.isOpen;
    if (isOpen) this.#away = undefined;
    else this.#away ??= { since: performance.now(), reason: 'its connection was lost' };
    for (const changed of this.#watchers) changed();
  }

  async #untilOpen(signal: AbortSignal): Promise<void> {
    const found = Promise.withResolvers<void>();
    const fail = (error: Error): void => found.reject(error);
    const onAbort = (): void => fail(signal.reason as Error);
    const timer = setTimeout(() => fail(this.#awayError()), this.wait);
    const stop = this.watch(() => {
      if (this.isOpen) found.resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      await found.promise;
    } finally {
      clearTimeout(timer);
      stop();
      signal.removeEventListener('abort', onAbort);
    }
  }

  #awayError(): SluiceError {
    const { since, reason } = this.#away ?? { since: performance.now(), reason: 'it went again' };
    const seconds = Math.round((performance.now() - since) / 1000);
    return new SluiceError(
      'SLUICE_DIAL',
      `the far side of tunnel "${this.name}" is away, for ${seconds} s by now: ${reason}`,
    );
  }
}
