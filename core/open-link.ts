/**
 * A link that listens: its source is bound and judged, and every connection that it accepts is served (serve.ts).
 * One failure concerns one connection. Made by `openLink`; freed when `done` resolves.
 */
import { assertAccess, authorize, judgeAccess } from './access.ts';
import type { Address } from './address.ts';
import { SluiceError, reasonOf, wrap } from './errors.ts';
import { LIMITS } from './limits.ts';
import type { Identities } from './identities.ts';
import { DEFAULT_SERVICE, explainLink, servicesOf, sinkFor, type Link } from './link.ts';
import type { CoreLog } from './log.ts';
import { abortConnection, type Outcome } from './relay.ts';
import { serve, type ServeContext, type Served } from './serve.ts';
import { isSession, listenForSessions, protocolsOf } from './sessions.ts';
import type { SessionListener } from './session/listener.ts';
import type { Admitted, Folders, Identity, Inbound, Listener } from '../plugins/contract/index.ts';

/** What the links of one gateway share. */
export interface LinkContext extends ServeContext {
  readonly identities: Identities;
  /** Every connection of the gateway that runs now. */
  readonly running: Set<Served>;
  /** A number for a new connection. */
  number(): number;
}

export class OpenLink {
  readonly link: Link;
  readonly listener: Listener;
  /** Resolves when the source has closed and the last connection is over; with that connection's outcome. */
  readonly done: Promise<Outcome | undefined>;
  readonly #stop: AbortController;

  constructor(link: Link, listener: Listener, done: Promise<Outcome | undefined>, stop: AbortController) {
    this.link = link;
    this.listener = listener;
    this.done = done;
    this.#stop = stop;
  }

  stopListening(): void {
    this.#stop.abort();
  }
}

/** Takes connections for a link from the moment it has been judged, and remembers them until they are over. */
class Intake {
  isOpen = false;
  readonly #link: Link;
  readonly #context: LinkContext;
  readonly #log: CoreLog;
  readonly #stop: AbortController;
  readonly #pending = new Set<Promise<void>>();
  #sessions: Promise<SessionListener> | undefined;
  #last: Outcome | undefined;

  constructor(link: Link, context: LinkContext, log: CoreLog, stop: AbortController) {
    this.#link = link;
    this.#context = context;
    this.#log = log;
    this.#stop = stop;
  }

  /** Who shows this token, if they may connect at all. */
  admit(token: string | undefined, peer: string): Admitted | undefined {
    return this.#let(this.#context.identities.identify(token), peer, token !== undefined);
  }

  /** A session's carrier may have shown a token of its own; two that disagree are refused. */
  #admitSession(token: string | undefined, { identity, peer }: Inbound): Admitted | undefined {
    const shown = token === undefined ? identity : this.#context.identities.identify(token);
    return identity === undefined || identity.name === shown?.name
      ? this.#let(shown, peer.address, token !== undefined)
      : undefined;
  }

  #let(identity: Identity | undefined, peer: string, hasToken = false): Admitted | undefined {
    if (authorize(identity, this.#link, DEFAULT_SERVICE)) return identity === undefined ? {} : { identity };
    this.#log.warn('connection refused', {
      peer,
      reason:
        identity === undefined
          ? hasToken
            ? 'its token is nobody’s'
            : 'it did not prove who it is'
          : `${identity.name} is not allowed`,
    });
    return undefined;
  }

  accept(inbound: Inbound): void {
    inbound.stream.on('error', () => {}); // a reset before the relay listens must not end the process
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      this.#log.warn('connection refused', { peer: inbound.peer.address, reason: refusal.message });
      return abortConnection(inbound, refusal);
    }
    const { source } = this.#link;
    if (isSession(inbound, source)) return void this.#acceptCarrier(inbound);
    if (source.session === 'always')
      return abortConnection(inbound, new SluiceError('SLUICE_DENIED', 'only the session of a sluice is spoken here'));
    if (this.#let(inbound.identity, inbound.peer.address) !== undefined) return this.#take(inbound, this.#link.sink);
    abortConnection(inbound, new SluiceError('SLUICE_DENIED', 'not allowed'));
  }

  /** A connection that carries a session: its streams are the link's connections. */
  async #acceptCarrier(carrier: Inbound): Promise<void> {
    try {
      this.#sessions ??= listenForSessions(this.#link.source, {
        log: this.#log,
        admit: (token, from) => this.#admitSession(token, from),
        accept: (inbound, service) => this.#acceptStream(inbound, service),
      });
      await (await this.#sessions).accept(carrier);
    } catch (error) {
      this.#log.warn('session refused', { peer: carrier.peer.address, reason: reasonOf(error) });
    }
  }

  /** @throws SluiceError that the far side is told */
  #acceptStream(inbound: Inbound, service: string): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    const sink = sinkFor(this.#link, service);
    if (sink === undefined || !authorize(inbound.identity, this.#link, service)) throw this.#unknown(inbound, service);
    this.#take(inbound, sink);
  }

  #unknown({ peer }: Inbound, service: string): SluiceError {
    this.#log.warn('stream refused', { peer: peer.address, service });
    const known = servicesOf(this.#link).join(', ');
    return new SluiceError('SLUICE_DENIED', `there is no service "${service}"; this link offers: ${known}`);
  }

  #take(inbound: Inbound, sink: Address): void {
    if (this.#link.once) this.#stop.abort();
    const over = this.#serve(inbound, sink).finally(() => this.#pending.delete(over));
    this.#pending.add(over);
  }

  /** Resolves with the last outcome when no connection is left. */
  async over(): Promise<Outcome | undefined> {
    const sessions = await this.#sessions;
    sessions?.drain();
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    sessions?.end(new SluiceError('SLUICE_STOPPED', 'the gateway was stopped'));
    return this.#last;
  }

  #refusal(): SluiceError | undefined {
    if (!this.isOpen || this.#stop.signal.aborted) {
      return new SluiceError('SLUICE_STOPPED', 'the source does not take connections now');
    }
    if (this.#context.running.size < LIMITS.relays) return undefined;
    return new SluiceError('SLUICE_BUSY', `${LIMITS.relays} connections are open, which is the limit`);
  }

  async #serve(inbound: Inbound, sink: Address): Promise<void> {
    const { running, number } = this.#context;
    const { peer, identity } = inbound;
    const log = this.#log.child({
      connection: number(),
      peer: peer.address,
      ...(identity && { identity: identity.name }),
    });
    const served = serve(this.#link, sink, inbound, { ...this.#context, log });
    running.add(served);
    this.#last = await served.outcome;
    running.delete(served);
  }
}

async function listen(
  link: Link,
  intake: Intake,
  log: CoreLog,
  folders: Folders,
  signal: AbortSignal,
): Promise<Listener> {
  const { transport, parsed, text } = link.source;
  try {
    if (transport.listen === undefined) throw new Error('it cannot be a source');
    return await transport.listen(parsed, {
      log,
      folders,
      signal,
      protocols: protocolsOf(link.source),
      accept: (inbound) => intake.accept(inbound),
      admit: (token, peer) => intake.admit(token, peer),
    });
  } catch (error) {
    throw wrap('SLUICE_LISTEN', `listen on ${text}`, error);
  }
}

function caution({ sink, services, allow }: Link, log: CoreLog): void {
  for (const { transport, parsed } of [sink, ...services.values()]) {
    const sentence = transport.caution?.(parsed, allow);
    if (sentence !== undefined) log.warn(sentence);
  }
}

/** @throws SluiceError SLUICE_LISTEN, SLUICE_ACCESS; then nothing of the link is left. */
export async function openLink(link: Link, context: LinkContext): Promise<OpenLink> {
  assertAccess(link);
  const log = context.log.child({ link: link.name });
  const stop = new AbortController();
  const intake = new Intake(link, context, log, stop);
  const listener = await listen(link, intake, log, context.folders, stop.signal);
  try {
    judgeAccess(link, listener);
  } catch (error) {
    stop.abort();
    await listener.closed;
    throw error;
  }
  caution(link, log);
  intake.isOpen = true;
  log.info('listening', {
    source: listener.address,
    sink: link.sink.text,
    ...(listener.dial && { dial: listener.dial }),
  });
  for (const sentence of explainLink(link)) log.debug('cannot carry', { what: sentence });
  const onFault = (error: unknown): void => log.error('the source did not close cleanly', { reason: reasonOf(error) });
  const done = listener.closed.catch(onFault).then(() => intake.over());
  return new OpenLink(link, listener, done, stop);
}
