/**
 * The listening side of sessions: greets carriers, begins a session for a new one and goes on with the old one for a
 * resumed one. A session without a carrier lives for a while, then its streams are reset and the commands behind them
 * get their configured ending.
 */
import { randomUUID, timingSafeEqual, createHash } from 'node:crypto';
import { HANDSHAKE_DEADLINE } from './dialer.ts';
import { greetAsListener, type SessionDirectory } from './handshake.ts';
import { Session, type OpenAnswer, type OpenRequest } from './session.ts';
import type { Connection, Log, Peer } from '../../plugins/contract/index.ts';

export interface ListenerOptions {
  /** Hashes of the tokens that are good; empty: a session needs none. */
  readonly tokens: readonly Buffer[];
  /** ms that a session lives without a carrier. */
  readonly detachedLife: number;
  /** Sessions without a carrier that may wait at once; more are ended, the newest first. */
  readonly maxDetached: number;
  readonly onOpen: (request: OpenRequest, answer: OpenAnswer, peer: Peer) => void;
  readonly log: Log;
}

export const hashToken = (token: string): Buffer => createHash('sha256').update(token).digest();

interface Known {
  readonly session: Session;
  readonly secret: Buffer;
  peer: Peer;
  timer: NodeJS.Timeout | undefined;
}

export class SessionListener {
  readonly #options: ListenerOptions;
  readonly #sessions = new Map<string, Known>();
  readonly #directory: SessionDirectory;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#directory = {
      authenticate: (token) => this.#isGood(token),
      secretOf: (id) => this.#sessions.get(id)?.secret,
      processedOf: (id) => this.#sessions.get(id)?.session.processed ?? 0,
      canResumeFrom: (id, offset) => this.#sessions.get(id)?.session.canResumeFrom(offset) ?? false,
    };
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Takes a carrier over. Resolves when it belongs to a session; rejects when it was refused, and has been freed. */
  async accept(carrier: Connection): Promise<void> {
    const { stream, peer } = carrier;
    const timer = setTimeout(() => stream.destroy(new Error('the handshake took too long')), HANDSHAKE_DEADLINE);
    try {
      const { key, peerProcessed, early, resumed } = await greetAsListener(stream, this.#directory);
      const known = resumed ? this.#sessions.get(key.id) : this.#begin(key.id, key.secret, peer);
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

  /** Compares with every token in the same time, whichever fits. */
  #isGood(token: string | undefined): boolean {
    const { tokens } = this.#options;
    if (tokens.length === 0) return true;
    const hash = hashToken(token ?? randomUUID());
    return tokens.map((good) => timingSafeEqual(good, hash)).includes(true);
  }

  #begin(id: string, secret: Buffer, peer: Peer): Known {
    const session = new Session({
      side: 'listener',
      onOpen: (request, answer) => this.#options.onOpen(request, answer, known.peer),
      onProgress: () => {},
      onDetached: (reason) => this.#onDetached(known, reason),
      onEnded: (reason) => {
        clearTimeout(known.timer);
        this.#sessions.delete(id);
        if (reason !== undefined)
          this.#options.log.warn('session ended', { peer: known.peer.address, reason: reason.message });
      },
    });
    const known: Known = { session, secret, peer, timer: undefined };
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
