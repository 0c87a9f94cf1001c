/**
 * The dialing side of a session: makes the first carrier, and another whenever one is lost, until the session has ended
 * or has been without a carrier for too long. Then its streams are reset; never are they ended, and never begun anew.
 *
 * What ends it at once is a denial: the far side does not know the session any more, or does not let us in. Anything else
 * (a refused connection, a proxy that answers for a server that is down, silence) may be over at the next attempt.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DeniedError } from './denial.ts';
import { dialWithin, toError, type Dial } from './dial-within.ts';
import { HANDSHAKE_DEADLINES, type HandshakeDeadlines } from './exchange.ts';
import { greetAsDialer, type DialerGreeting, type Greeted, type SessionKey } from './handshake.ts';
import { redialDelay } from './redial-pace.ts';
import { Session, type OpenAnswer, type OpenRequest, type SessionLimits } from './session.ts';
import type { Connection } from '../../plugins/contract/index.ts';

export { redialDelay } from './redial-pace.ts';

/** What the user may be told while a session has no carrier. */
export interface Watcher {
  lost(reason: Error): void;
  resumed(milliseconds: number): void;
}

export interface DialerOptions extends SessionLimits {
  /** Makes a carrier, verified as its address asks. The session owns it from then on. */
  readonly dial: Dial;
  /** Shown in the handshake of every carrier. */
  readonly token?: string | undefined;
  /** End what is left of this identity's sessions without a carrier. */
  readonly takeOver?: boolean;
  /** ms without a carrier after which the session ends; 0: at once, which is no resume. */
  readonly detachedLife: number;
  readonly onOpen?: (request: OpenRequest, answer: OpenAnswer) => void;
  readonly watcher?: Watcher;
  readonly handshake?: HandshakeDeadlines;
  /** ms until the next attempt; by default as redial-pace.ts says. */
  readonly redialDelay?: (failures: number, outage: number) => number;
}

/** A session that this side keeps alive. `ended` resolves with the reason, or nothing for a clean end. */
export interface DialedSession {
  readonly session: Session;
  /** Its name on the listening side. */
  readonly id: string;
  readonly ended: Promise<Error | undefined>;
}

/** ms for which a session that has nothing left but its last words looks for somebody to hear them. */
const IDLE_LIFE = 5_000;
/** ms between looks whether that has become so. */
const LOOK = 1_000;

const refuseAll = (_request: OpenRequest, { refuse }: OpenAnswer): void => refuse('this side offers no service');

const isFinal = (error: unknown): boolean =>
  error instanceof DeniedError ? error.code !== 'busy' : (error as { final?: unknown } | null)?.final === true;

/** A denial is for whoever asks; this is for whoever has lost something by it. */
const explain = (error: Error): Error =>
  error instanceof DeniedError && error.code === 'unknown-session'
    ? new Error(`${error.message}: the far side was started anew, or has given it up; what was open is lost`, {
        cause: error,
      })
    : error;

class Redialer {
  readonly session: Session;
  readonly ended: Promise<Error | undefined>;
  readonly #options: DialerOptions;
  readonly #over = new AbortController();
  #key: SessionKey | undefined;
  #failures = 0;
  /** Since when nothing has got through: a carrier that comes and breaks at once is still the same outage. */
  #outageSince: number | undefined;

  constructor(options: DialerOptions) {
    this.#options = options;
    const ended = Promise.withResolvers<Error | undefined>();
    this.ended = ended.promise;
    this.session = new Session({
      ...options,
      side: 'dialer',
      onOpen: options.onOpen ?? refuseAll,
      onProgress: () => {
        this.#failures = 0;
        this.#outageSince = undefined;
      },
      onDetached: (reason) => void this.#reconnect(reason),
      onEnded: (reason) => {
        this.#over.abort();
        ended.resolve(reason);
      },
    });
  }

  get id(): string {
    return this.#key?.id ?? '';
  }

  /** The first carrier; what fails here is the caller's to tell. */
  async connect(signal: AbortSignal): Promise<void> {
    const { token, takeOver = false, detachedLife } = this.#options;
    const { carrier, greeted } = await this.#reach(signal, { token, takeOver, detachedLife });
    this.#key = greeted.key;
    this.session.attach(carrier.stream, 0, greeted.early);
  }

  /** A carrier on which somebody has been greeted; one that could not be is freed. */
  async #reach(signal: AbortSignal, greeting: DialerGreeting): Promise<{ carrier: Connection; greeted: Greeted }> {
    const { dial, handshake = HANDSHAKE_DEADLINES } = this.#options;
    const carrier = await dialWithin(dial, signal);
    const giveUp = (): void => void carrier.stream.destroy(toError(signal.reason));
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      return { carrier, greeted: await greetAsDialer(carrier.stream, greeting, handshake) };
    } catch (error) {
      carrier.stream.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  async #reconnect(reason: Error): Promise<void> {
    const { detachedLife, watcher, redialDelay: delayOf = redialDelay } = this.#options;
    if (detachedLife > 0) watcher?.lost(reason);
    const since = (this.#outageSince ??= performance.now());
    const { signal } = this.#over;
    const stopWatching = this.#watchOutage(since, reason);
    while (!signal.aborted && !this.session.isAttached) {
      const outage = performance.now() - since;
      await sleep(delayOf(this.#failures, outage), undefined, { signal }).catch(() => {});
      if (!signal.aborted) await this.#tryResume(signal);
    }
    stopWatching();
    if (!signal.aborted) watcher?.resumed(performance.now() - since);
  }

  /** Ends the session when it has been without a carrier for too long, also while an attempt hangs. */
  #watchOutage(since: number, reason: Error): () => void {
    const { detachedLife } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const look = (): void => {
      const now = performance.now();
      const { idleSince = Number.POSITIVE_INFINITY } = this.session;
      const left = Math.min(since + detachedLife, Math.max(since, idleSince) + IDLE_LIFE) - now;
      if (left > 0) timer = setTimeout(look, Math.min(left, LOOK));
      else
        this.session.end(
          new Error(
            detachedLife === 0
              ? `the connection was lost: ${reason.message}`
              : `no connection for ${Math.round((now - since) / 1000)} s: ${reason.message}`,
          ),
        );
    };
    look();
    return () => clearTimeout(timer);
  }

  async #tryResume(signal: AbortSignal): Promise<void> {
    this.#failures += 1;
    try {
      const resume = { key: this.#key as SessionKey, processed: this.session.processed };
      const { carrier, greeted } = await this.#reach(signal, { token: this.#options.token, resume });
      if (!this.session.canResumeFrom(greeted.peerProcessed)) {
        carrier.stream.destroy();
        throw new DeniedError('offset', `the far side is at offset ${greeted.peerProcessed}, which cannot be`);
      }
      this.session.attach(carrier.stream, greeted.peerProcessed, greeted.early);
    } catch (error) {
      if (isFinal(error)) this.session.end(explain(error as Error));
    }
  }
}

/** @throws DeniedError, OtherProtocolError, ProtocolError, or what the dial threw; then nothing is left. */
export async function dialSession(options: DialerOptions, signal: AbortSignal): Promise<DialedSession> {
  const redialer = new Redialer(options);
  await redialer.connect(signal);
  return redialer;
}
