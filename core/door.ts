/**
 * A door: a source that is bound and judged, and the far ends that come in by it, as plain connections or with a session.
 * Each is let in or not, here and nowhere else; what becomes of it is the host's: a link serves it (open-link.ts), a tunnel
 * keeps its session (tunnels/entrance.ts).
 */
import { judgeAccess } from './access.ts';
import { Arrivals, type Admission } from './admission/admission.ts';
import { endIdle } from './admission/idle-sessions.ts';
import type { Address } from './address.ts';
import { SluiceError, reasonOf, wrap } from './errors.ts';
import { describeCredentials, type Identities } from './identities.ts';
import type { CoreLog } from './log.ts';
import { abortConnection } from './relay.ts';
import { isSession, listenForSessions, protocolsOf } from './sessions.ts';
import type {
  Admitted,
  Arrival,
  Credentials,
  Folders,
  Identity,
  Inbound,
  Listener,
  Proof,
} from '../plugins/contract/index.ts';
import type { Far, SessionListener } from './session/listener.ts';
import type { OpenRequest, Session } from './session/session.ts';

export interface DoorHost {
  /** For messages: `link "borg"`. */
  readonly title: string;
  readonly source: Address;
  readonly allow: readonly string[];
  readonly log: CoreLog;
  /** ms that a session may have no stream; as long as it likes where it is not given. */
  readonly idleSession?: number;
  /** Whether they may come in at all; asked for every connection and every carrier. */
  may(identity: Identity | undefined): boolean;
  /** What those who may come in prove themselves by. */
  proofs(): readonly Proof[];
  /** Why nobody is taken in now. */
  refusal(): SluiceError | undefined;
  /** A plain connection. @throws SluiceError: then it is aborted */
  take(inbound: Inbound): void;
  /** A stream of a session. @throws SluiceError that the far side is told */
  open(inbound: Inbound, request: OpenRequest, session: Session): void;
  /** A new session, before its first carrier is attached. */
  began?(session: Session, far: () => Far, id: string): void;
}

export interface DoorContext {
  /** Who is known now. */
  identities(): Identities;
  readonly admission: Admission;
  readonly folders: Folders;
}

export class Door {
  /** Those who have come in, and have not yet proved who they are. */
  readonly #arrivals: Arrivals;
  /** Nobody comes in before the source has been judged. */
  isOpen = false;
  readonly #host: DoorHost;
  readonly #context: DoorContext;
  #sessions: Promise<SessionListener> | undefined;
  /** Carriers that are being greeted. */
  readonly #greeting = new Set<Promise<void>>();
  /** What becomes of a session that begins after all the others were drained, or ended. */
  #late: ((session: Session) => void) | undefined;

  constructor(host: DoorHost, context: DoorContext) {
    this.#host = host;
    this.#context = context;
    this.#arrivals = new Arrivals(host.source.transport.encrypts === true);
  }

  /** Who shows this, if they may connect at all. */
  admit(credentials: Credentials, peer: string): Admitted | undefined {
    if (this.#context.admission.isBarred(peer)) return undefined;
    return this.#let(this.#context.identities().identify(credentials), peer, credentials);
  }

  /** A session's carrier may have shown a token of its own; two that disagree are refused. */
  #admitSession(token: string | undefined, { identity, credentials = {}, peer }: Inbound): Admitted | undefined {
    if (identity !== undefined && token === undefined) return this.#let(identity, peer.address, credentials);
    const shown = token === undefined ? credentials : { ...credentials, token };
    const isTwice = credentials.token !== undefined && credentials.token !== shown.token;
    return isTwice ? this.#let(undefined, peer.address, shown) : this.admit(shown, peer.address);
  }

  #let(identity: Identity | undefined, peer: string, credentials: Credentials | undefined): Admitted | undefined {
    if (this.#host.may(identity)) return identity === undefined ? {} : { identity };
    const reason = identity === undefined ? describeCredentials(credentials) : `${identity.name} is not allowed`;
    this.#host.log.warn('connection refused', { peer, reason });
    if (identity !== undefined || credentials?.token !== undefined) this.#context.admission.failed(peer);
    return undefined;
  }

  arrive(peer: string, cut: () => void): Arrival | undefined {
    return this.#context.admission.arrive(this.#arrivals, peer, cut);
  }

  accept(inbound: Inbound): void {
    inbound.stream.on('error', () => {}); // a reset before the relay listens must not end the process
    try {
      const refusal = this.isOpen ? this.#host.refusal() : closed();
      if (refusal !== undefined) {
        this.#host.log.warn('connection refused', { peer: inbound.peer.address, reason: refusal.message });
        throw refusal;
      }
      this.#enter(inbound);
    } catch (error) {
      abortConnection(inbound, error as Error);
    }
  }

  #enter(inbound: Inbound): void {
    const { source } = this.#host;
    const { admission } = this.#context;
    if (isSession(inbound, source)) {
      const greeting = this.#acceptCarrier(inbound).finally(() => {
        admission.settle(inbound.arrival);
        this.#greeting.delete(greeting);
      });
      return void this.#greeting.add(greeting);
    }
    admission.settle(inbound.arrival);
    if (source.session === 'always')
      throw new SluiceError('SLUICE_DENIED', 'only the session of a sluice is spoken here');
    const { credentials, peer } = inbound;
    const identity = inbound.identity ?? this.#context.identities().identify(credentials ?? {});
    const admitted = this.#let(identity, peer.address, credentials);
    if (admitted === undefined) throw new SluiceError('SLUICE_DENIED', 'not allowed');
    this.#host.take({ ...inbound, ...admitted });
  }

  /** A connection that carries a session: its streams are the host's. */
  async #acceptCarrier(carrier: Inbound): Promise<void> {
    const { source, log } = this.#host;
    const { admission } = this.#context;
    try {
      this.#sessions ??= listenForSessions(source, {
        log,
        limits: { maxStreams: ({ identity }) => admission.limitsOf(identity?.name).streamsPerSession },
        admit: (token, from) => this.#admitSession(token, from),
        accept: (inbound, request, session) => {
          const refusal = this.#host.refusal();
          if (refusal !== undefined) throw refusal;
          this.#host.open(inbound, request, session);
        },
        began: (session, far, id) => {
          if (this.#host.idleSession !== undefined) endIdle(session, this.#host.idleSession);
          this.#host.began?.(session, far, id);
          this.#late?.(session);
        },
      });
      await (await this.#sessions).accept(carrier);
    } catch (error) {
      const reason = reasonOf(error);
      log[SAID_NOTHING.test(reason) ? 'debug' : 'warn']('session refused', { peer: carrier.peer.address, reason });
    }
  }

  /** No new streams; a session ends when its last stream is over. */
  async drain(): Promise<void> {
    this.#late ??= (session) => session.drain();
    (await this.#sessions)?.drain();
  }

  /** Resolves when no session is left, and nobody is about to begin one. */
  async over(): Promise<void> {
    for (;;) {
      await Promise.all(this.#greeting);
      const left = (await this.#sessions)?.sessions() ?? [];
      if (left.length === 0 && this.#greeting.size === 0) return;
      await Promise.all(left.map(({ closed: gone }) => gone));
    }
  }

  /** Ends the sessions, also those without a carrier, of whoever would not be let in any more. */
  async review(): Promise<void> {
    const sessions = await this.#sessions;
    const identities = this.#context.identities();
    const isGone = ({ identity }: Admitted): boolean =>
      !this.#host.may(identity) || (identity !== undefined && !identities.isStill(identity));
    sessions?.endOf(isGone, new SluiceError('SLUICE_DENIED', 'not allowed any more'));
  }

  async end(reason: Error): Promise<void> {
    this.#late = (session) => session.end(reason);
    (await this.#sessions)?.end(reason);
  }
}

/** Somebody looked whether anybody is here: a health check, or another gateway of ours. */
const SAID_NOTHING = /it said nothing: it closed/;

const closed = (): SluiceError => new SluiceError('SLUICE_STOPPED', 'the source does not take connections now');

/**
 * Listens, and judges who could reach it before anybody comes in.
 *
 * @param signal stops listening
 * @throws SluiceError SLUICE_LISTEN, SLUICE_ACCESS; then nothing is left
 */
export async function openDoor(
  host: DoorHost,
  context: DoorContext,
  stop: AbortController,
): Promise<{ door: Door; listener: Listener }> {
  const door = new Door(host, context);
  const listener = await listen(host, door, context.folders, stop.signal);
  try {
    judgeAccess(host, listener);
  } catch (error) {
    stop.abort();
    await listener.closed.catch(() => {});
    throw error;
  }
  door.isOpen = true;
  return { door, listener };
}

async function listen(host: DoorHost, door: Door, folders: Folders, signal: AbortSignal): Promise<Listener> {
  const { source, log } = host;
  const { transport, parsed, text } = source;
  try {
    if (transport.listen === undefined) throw new Error('it cannot be a source');
    return await transport.listen(parsed, {
      log,
      folders,
      signal,
      protocols: protocolsOf(source),
      accept: (inbound) => door.accept(inbound),
      admit: (credentials, peer) => door.admit(credentials, peer),
      arrive: (peer, cut) => door.arrive(peer, cut),
      proofs: () => host.proofs(),
    });
  } catch (error) {
    throw wrap('SLUICE_LISTEN', `listen on ${text}`, error);
  }
}
