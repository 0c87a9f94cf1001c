/**
 * A link that listens: its source is bound and judged, and every connection that it accepts is served (serve.ts).
 * One failure concerns one connection. Made by `openLink`; freed when `done` resolves.
 */
import { judgeAccess } from './access.ts';
import { SluiceError, reasonOf, wrap } from './errors.ts';
import { LIMITS } from './limits.ts';
import { explainLink, type Link } from './link.ts';
import type { CoreLog } from './log.ts';
import { abortConnection, type Outcome } from './relay.ts';
import { serve, type Served } from './serve.ts';
import { isSession, listenForSessions, protocolsOf } from './sessions.ts';
import type { SessionListener } from './session/listener.ts';
import type { Folders, Inbound, Listener } from '../plugins/contract/index.ts';

/** What the links of one gateway share. */
export interface LinkContext {
  readonly log: CoreLog;
  readonly folders: Folders;
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

  accept(inbound: Inbound): void {
    inbound.stream.on('error', () => {}); // a reset before the relay listens must not end the process
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      this.#log.warn('connection refused', { peer: inbound.peer.address, reason: refusal.message });
      return abortConnection(inbound, refusal);
    }
    if (isSession(inbound, this.#link.source)) void this.#acceptCarrier(inbound);
    else this.#take(inbound);
  }

  /** A connection that carries a session: its streams are the link's connections. */
  async #acceptCarrier(carrier: Inbound): Promise<void> {
    try {
      this.#sessions ??= listenForSessions(this.#link.source, (inbound) => this.#acceptStream(inbound), this.#log);
      await (await this.#sessions).accept(carrier);
    } catch (error) {
      this.#log.warn('session refused', { peer: carrier.peer.address, reason: reasonOf(error) });
    }
  }

  #acceptStream(inbound: Inbound): void {
    const refusal = this.#refusal();
    if (refusal === undefined) this.#take(inbound);
    else abortConnection(inbound, refusal);
  }

  #take(inbound: Inbound): void {
    if (this.#link.once) this.#stop.abort();
    const over = this.#serve(inbound).finally(() => this.#pending.delete(over));
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

  async #serve(inbound: Inbound): Promise<void> {
    const { running, folders, number } = this.#context;
    const log = this.#log.child({ connection: number(), peer: inbound.peer.address });
    const served = serve(this.#link, inbound, { log, folders });
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
    });
  } catch (error) {
    throw wrap('SLUICE_LISTEN', `listen on ${text}`, error);
  }
}

/** @throws SluiceError SLUICE_LISTEN, SLUICE_ACCESS; then nothing of the link is left. */
export async function openLink(link: Link, context: LinkContext): Promise<OpenLink> {
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
