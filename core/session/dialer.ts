/**
 * The dialing side of a session: makes the first carrier, and another whenever one is lost, until the session has ended
 * or has been without a carrier for too long. Then its streams are reset; never are they ended, and never begun anew.
 *
 * It redials at once, then after 0.25 s doubling with full jitter: at most 1 s in the first minute of an outage, 30 s
 * later; from zero again as soon as the peer has acknowledged a byte.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DeniedError } from './exchange.ts';
import { ProtocolError } from './frames.ts';
import { greetAsDialer, type SessionKey } from './handshake.ts';
import { Session, type OpenAnswer, type OpenRequest } from './session.ts';
import type { Connection } from '../../plugins/contract/index.ts';

const FIRST_DELAY = 250;
const LONGEST_DELAY_AT_FIRST = 1_000;
const LONGEST_DELAY = 30_000;
const AT_FIRST = 60_000;
/** ms for greeting on one carrier, whatever bytes arrive. */
export const HANDSHAKE_DEADLINE = 15_000;

/** What the user may be told while a session has no carrier. */
export interface Watcher {
  lost(reason: Error): void;
  resumed(milliseconds: number): void;
}

export interface DialerOptions {
  /** Makes a carrier, verified as its address asks. The session owns it from then on. */
  readonly dial: (signal: AbortSignal) => Promise<Connection>;
  /** Shown in the handshake of every carrier. */
  readonly token?: string | undefined;
  /** End what is left of this identity's sessions without a carrier. */
  readonly takeOver?: boolean;
  /** ms without a carrier after which the session ends; 0: at once, which is no resume. */
  readonly detachedLife: number;
  readonly onOpen?: (request: OpenRequest, answer: OpenAnswer) => void;
  readonly watcher?: Watcher;
}

/** A session that this side keeps alive. `ended` resolves with the reason, or nothing for a clean end. */
export interface DialedSession {
  readonly session: Session;
  readonly ended: Promise<Error | undefined>;
}

const refuseAll = (_request: OpenRequest, { refuse }: OpenAnswer): void => refuse('this side offers no service');

/** Greets under the deadline; frees the carrier if that fails. */
async function greet(
  carrier: Connection,
  ...greeting: Parameters<typeof greetAsDialer> extends [unknown, ...infer R] ? R : never
) {
  const timer = setTimeout(
    () => carrier.stream.destroy(new Error('no answer to the handshake in time')),
    HANDSHAKE_DEADLINE,
  );
  try {
    return await greetAsDialer(carrier.stream, ...greeting);
  } catch (error) {
    carrier.stream.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** ms until the attempt after `failures` others. Full jitter: many clients of one gateway must not come back together. */
export function redialDelay(failures: number, outage: number, random: () => number = Math.random): number {
  if (failures === 0) return 0;
  const longest = outage < AT_FIRST ? LONGEST_DELAY_AT_FIRST : LONGEST_DELAY;
  return random() * Math.min(longest, FIRST_DELAY * 2 ** (failures - 1));
}

const isFinal = (error: unknown): boolean =>
  error instanceof DeniedError || error instanceof ProtocolError || (error as { final?: unknown }).final === true;

class Redialer {
  readonly session: Session;
  readonly ended: Promise<Error | undefined>;
  readonly #options: DialerOptions;
  readonly #over = new AbortController();
  #key: SessionKey | undefined;
  #failures = 0;

  constructor(options: DialerOptions) {
    this.#options = options;
    const ended = Promise.withResolvers<Error | undefined>();
    this.ended = ended.promise;
    this.session = new Session({
      side: 'dialer',
      onOpen: options.onOpen ?? refuseAll,
      onProgress: () => (this.#failures = 0),
      onDetached: (reason) => void this.#reconnect(reason),
      onEnded: (reason) => {
        this.#over.abort();
        ended.resolve(reason);
      },
    });
  }

  /** The first carrier; what fails here is the caller's to tell. */
  async connect(signal: AbortSignal): Promise<void> {
    const carrier = await this.#options.dial(signal);
    const { token, takeOver = false } = this.#options;
    const { key, early } = await greet(carrier, { token, takeOver });
    this.#key = key;
    this.session.attach(carrier.stream, 0, early);
  }

  async #reconnect(reason: Error): Promise<void> {
    const { detachedLife, watcher } = this.#options;
    const since = performance.now();
    if (detachedLife > 0) watcher?.lost(reason);
    while (!this.#over.signal.aborted) {
      const outage = performance.now() - since;
      if (outage >= detachedLife)
        return this.session.end(new Error(`no connection for ${Math.round(outage / 1000)} s: ${reason.message}`));
      await sleep(redialDelay(this.#failures, outage), undefined, { signal: this.#over.signal }).catch(() => {});
      if (await this.#tryResume(detachedLife - (performance.now() - since)))
        return watcher?.resumed(performance.now() - since);
    }
  }

  /** True when the session goes on, or has ended for good. */
  async #tryResume(timeLeft: number): Promise<boolean> {
    this.#failures += 1;
    try {
      const carrier = await this.#options.dial(
        AbortSignal.any([this.#over.signal, AbortSignal.timeout(Math.max(Math.ceil(timeLeft), 1))]),
      );
      const resume = { key: this.#key as SessionKey, processed: this.session.processed };
      const { peerProcessed, early } = await greet(carrier, { token: this.#options.token, resume });
      if (!this.session.canResumeFrom(peerProcessed))
        throw new ProtocolError(`the far side is at offset ${peerProcessed}, which cannot be`);
      this.session.attach(carrier.stream, peerProcessed, early);
      return true;
    } catch (error) {
      if (!isFinal(error)) return this.#over.signal.aborted;
      this.session.end(error as Error);
      return true;
    }
  }
}

/** @throws DeniedError, ProtocolError, or what the dial threw; then nothing is left. */
export async function dialSession(options: DialerOptions, signal: AbortSignal): Promise<DialedSession> {
  const redialer = new Redialer(options);
  await redialer.connect(signal);
  return redialer;
}
