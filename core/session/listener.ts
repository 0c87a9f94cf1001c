/**
 * The listening side of sessions: greets carriers, begins a session for a new one and goes on with the old one for a
 * resumed one. A session without a carrier lives for a while, then its streams are reset and the commands behind them
 * get their configured ending.
 */
import { HANDSHAKE_DEADLINE } from './dialer.ts';
import { greetAsListener, type SessionDirectory, type SessionKey } from './handshake.ts';
import { Session, type OpenAnswer, type OpenRequest } from './session.ts';
import type { Admitted, Inbound, Log, Peer } from '../../plugins/contract/index.ts';

/** The far end of a session: where its last carrier came from, and who it is. */
export interface Far extends Admitted {
  readonly peer: Peer;
}

export interface ListenerOptions {
  /** Who shows this token on this carrier, if they may have a session. Asked for each carrier anew. */
  readonly admit: (token: string | undefined, carrier: Inbound) => Admitted | undefined;
  /** ms that a session lives without a carrier. */
  readonly detachedLife: number;
  /** Sessions without a carrier that may wait at once; more are ended, the newest first. */
  readonly maxDetached: number;
  readonly onOpen: (request: OpenRequest, answer: OpenAnswer, from: Far) => void;
  readonly log: Log;
}

interface Known {
  readonly session: Session;
  readonly secret: Buffer;
  readonly who: Admitted;
  peer: Peer;
  timer: NodeJS.Timeout | undefined;
}

const isSame = (one: Admitted, other: Admitted): boolean => one.identity?.name === other.identity?.name;

export class SessionListener {
  readonly #options: ListenerOptions;
  readonly #sessions = new Map<string, Known>();

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Takes a carrier over. Resolves when it belongs to a session; rejects when it was refused, and has been freed. */
  async accept(carrier: Inbound): Promise<void> {
    const { stream, peer } = carrier;
    const timer = setTimeout(() => stream.destroy(new Error('the handshake took too long')), HANDSHAKE_DEADLINE);
    try {
      const greeted = await greetAsListener(stream, this.#directory(carrier));
      const { key, peerProcessed, early, resumed, who } = greeted;
      if (greeted.takeOver) this.#endDetachedOf(who);
      const known = resumed ? this.#sessions.get(key.id) : this.#begin(key, who, peer);
      if (known === undefined) throw new Error('the session ended while it was being resumed');
      clearTimeout(known.timer);
      known.peer = peer;
      if (resumed) this.#options.log.info('session resumed', { peer: peer.address });
      known.session.attach(stream, peerProcessed, early);
    } catch (error) {
      stream.end(); // a denial is still on its way
      stream.resume();
      setTimeout(() => stream.destroy(), 1_000).unref();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** No new streams; each session ends when its last stream is over. */
  drain(): void {
    for (const { session } of this.#sessions.values()) session.drain();
  }

  end(reason: Error): void {
    for (const { session } of this.#sessions.values()) session.end(reason);
  }

  #directory(carrier: Inbound): SessionDirectory {
    const sessionOf = (id: string): Session | undefined => this.#sessions.get(id)?.session;
    return {
      admit: (token) => this.#options.admit(token, carrier),
      secretOf: (id, who) => {
        const known = this.#sessions.get(id);
        return known !== undefined && isSame(known.who, who) ? known.secret : undefined;
      },
      processedOf: (id) => sessionOf(id)?.processed ?? 0,
      canResumeFrom: (id, offset) => sessionOf(id)?.canResumeFrom(offset) ?? false,
    };
  }

  /** A client that has lost its session for good need not wait until a lock that this one holds is freed. */
  #endDetachedOf(who: Admitted): void {
    if (who.identity === undefined) return; // anybody could be meant
    for (const { session, who: owner, peer } of this.#sessions.values()) {
      if (session.isAttached || !isSame(owner, who)) continue;
      this.#options.log.info('session taken over', { identity: who.identity.name, peer: peer.address });
      session.end(new Error('taken over by a new session of the same identity'));
    }
  }

  #begin({ id, secret }: SessionKey, who: Admitted, peer: Peer): Known {
    const session = new Session({
      side: 'listener',
      onOpen: (request, answer) => this.#options.onOpen(request, answer, { ...who, peer: known.peer }),
      onProgress: () => {},
      onDetached: (reason) => this.#onDetached(known, reason),
      onEnded: (reason) => {
        clearTimeout(known.timer);
        this.#sessions.delete(id);
        if (reason !== undefined)
          this.#options.log.warn('session ended', { peer: known.peer.address, reason: reason.message });
      },
    });
    const known: Known = { session, secret, who, peer, timer: undefined };
    this.#sessions.set(id, known);
    return known;
  }

  #onDetached(known: Known, reason: Error): void {
    const { detachedLife, maxDetached, log } = this.#options;
    const detached = [...this.#sessions.values()].filter(({ session }) => !session.isAttached).length;
    if (detachedLife === 0 || detached > maxDetached) return known.session.end(reason);
    log.info('session lost its connection', {
      peer: known.peer.address,
      reason: reason.message,
      seconds: detachedLife / 1000,
    });
    known.timer = setTimeout(
      () => known.session.end(new Error(`no connection for ${detachedLife / 1000} s`)),
      detachedLife,
    );
  }
}
