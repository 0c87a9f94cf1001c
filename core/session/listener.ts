/**
 * The listening side of sessions: greets carriers, begins a session for a new one and goes on with the old one for a
 * resumed one. A session without a carrier lives for a while, then its streams are reset and the commands behind them
 * get their configured ending. What all of them hold meanwhile has a limit of its own.
 */
import { tooMany } from './detached.ts';
import { HANDSHAKE_DEADLINES, type HandshakeDeadlines } from './exchange.ts';
import { sayFarewell } from './carrier.ts';
import { greetAsListener, type GreetedDialer, type SessionDirectory } from './handshake.ts';
import { Session, type OpenAnswer, type OpenRequest, type SessionLimits } from './session.ts';
import type { Admitted, Inbound, Log, Peer } from '../../plugins/contract/index.ts';

/** The far end of a session: where its last carrier came from, and who it is. */
export interface Far extends Admitted {
  readonly peer: Peer;
}

export interface ListenerOptions extends Omit<SessionLimits, 'maxStreams'> {
  /** Streams that a far side may have open at once in a session. */
  readonly maxStreams?: (who: Admitted) => number;
  /** Who shows this token on this carrier, if they may have a session. Asked for each carrier anew. */
  readonly admit: (token: string | undefined, carrier: Inbound) => Admitted | undefined;
  /** ms that a session lives without a carrier. */
  readonly detachedLife: number;
  /** Sessions without a carrier that may wait at once; more are ended, the newest first. */
  readonly maxDetached: number;
  /** Bytes that they may hold together. */
  readonly maxDetachedBytes?: number;
  readonly onOpen: (request: OpenRequest, answer: OpenAnswer, from: Far, session: Session) => void;
  /** A new session, before its first carrier is attached; `far` is told anew when it comes back from elsewhere. */
  readonly onSession?: (session: Session, far: () => Far, id: string) => void;
  readonly log: Log;
  readonly handshake?: HandshakeDeadlines;
}

interface Known {
  readonly session: Session;
  readonly secret: Buffer;
  /** As they proved it with the last carrier. */
  who: Admitted;
  /** ms: ours, or what the dialer asked for where that is less. */
  readonly detachedLife: number;
  peer: Peer;
  /** When it lost its carrier. */
  since: number;
  timer: NodeJS.Timeout | undefined;
}

const MAX_DETACHED_BYTES = 256 * 1024 * 1024;
/** ms between looks at what detached sessions hold: their streams are still written to. */
const LOOK = 1_000;

const isSame = (one: Admitted, other: Admitted): boolean => one.identity?.name === other.identity?.name;

export class SessionListener {
  readonly #options: ListenerOptions;
  readonly #sessions = new Map<string, Known>();
  #looking: NodeJS.Timeout | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Those that run, with or without a carrier. */
  sessions(): Session[] {
    return [...this.#sessions.values()].map(({ session }) => session);
  }

  /** Takes a carrier over. Resolves when it belongs to a session; rejects when it was refused, and is being freed. */
  async accept(carrier: Inbound): Promise<void> {
    const { handshake = HANDSHAKE_DEADLINES } = this.#options;
    try {
      this.#take(carrier, await greetAsListener(carrier.stream, this.#directory(carrier), handshake));
    } catch (error) {
      void sayFarewell(carrier.stream); // a denial is still on its way
      throw error;
    }
  }

  /** No new streams; each session ends when its last stream is over. */
  drain(): void {
    for (const session of this.sessions()) session.drain();
  }

  end(reason: Error): void {
    for (const session of this.sessions()) session.end(reason);
  }

  /** Ends the sessions of those whom it concerns: an identity that was revoked keeps nothing. */
  endOf(concerns: (who: Admitted) => boolean, reason: Error): void {
    for (const { session, who } of this.#sessions.values()) if (concerns(who)) session.end(reason);
  }

  #take({ stream, peer }: Inbound, greeted: GreetedDialer): void {
    const { key, peerProcessed, early, resumed, who, takeOver } = greeted;
    if (takeOver) this.#endDetachedOf(who);
    const known = resumed ? this.#sessions.get(key.id) : this.#begin(greeted, peer);
    if (known === undefined) throw new Error('the session ended while it was being resumed');
    clearTimeout(known.timer);
    known.peer = peer;
    known.who = who;
    if (resumed) this.#options.log.info('session resumed', { peer: peer.address });
    known.session.attach(stream, peerProcessed, early);
  }

  #directory(carrier: Inbound): SessionDirectory {
    const sessionOf = (id: string): Session | undefined => this.#sessions.get(id)?.session;
    return {
      admit: (token) => this.#options.admit(token, carrier),
      secretOf: (id, who) => {
        const known = this.#sessions.get(id);
        return known !== undefined && isSame(known.who, who) ? known.secret : undefined;
      },
      canResumeFrom: (id, offset) => sessionOf(id)?.canResumeFrom(offset) ?? false,
      processedOf: (id) => {
        const session = sessionOf(id);
        session?.release(); // what the old carrier still brings would not be in the offset that we tell
        return session?.processed ?? 0;
      },
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

  #begin({ key: { id, secret }, who, detachedLife: asked }: GreetedDialer, peer: Peer): Known {
    const { maxStreams, ...options } = this.#options;
    const session = new Session({
      ...options,
      side: 'listener',
      ...(maxStreams && { maxStreams: () => maxStreams(known.who) }),
      onOpen: (request, answer) => this.#options.onOpen(request, answer, { ...who, peer: known.peer }, known.session),
      onProgress: () => {},
      onDetached: (reason) => this.#onDetached(known, reason),
      onEnded: (reason) => {
        clearTimeout(known.timer);
        this.#sessions.delete(id);
        if (reason !== undefined)
          this.#options.log.warn('session ended', { peer: known.peer.address, reason: reason.message });
      },
    });
    const detachedLife = Math.min(this.#options.detachedLife, asked ?? this.#options.detachedLife);
    const known: Known = { session, secret, who, peer, detachedLife, since: 0, timer: undefined };
    this.#sessions.set(id, known);
    this.#options.onSession?.(session, () => ({ ...who, peer: known.peer }), id);
    return known;
  }

  #onDetached(known: Known, reason: Error): void {
    const { log } = this.#options;
    const { detachedLife } = known;
    if (detachedLife === 0) return known.session.end(reason);
    const seconds = detachedLife / 1000;
    log.info('session lost its connection', { peer: known.peer.address, reason: reason.message, seconds });
    known.since = performance.now();
    known.timer = setTimeout(() => known.session.end(new Error(`no connection for ${seconds} s`)), detachedLife);
    this.#limitDetached();
  }

  /** Looks again as long as there is one: a command goes on talking to a session that nobody hears. */
  #limitDetached(): void {
    const { maxDetached: count, maxDetachedBytes: bytes = MAX_DETACHED_BYTES } = this.#options;
    const detached = [...this.#sessions.values()]
      .filter(({ session }) => !session.isAttached)
      .map(({ session, since }) => ({ session, since, held: session.held }));
    for (const { session } of tooMany(detached, { count, bytes }))
      session.end(new Error('too many sessions wait for their connection, or they hold too much'));
    clearTimeout(this.#looking);
    if (detached.length > 0) this.#looking = setTimeout(() => this.#limitDetached(), LOOK).unref();
  }
}
