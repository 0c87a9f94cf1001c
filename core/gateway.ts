/**
 * The gateway runs links. For each: listen; judge who can reach it; then, for every connection that the source
 * accepts, hand its socket to the sink's command or dial the sink and relay (connection.ts). One failure concerns one
 * connection. To stop: no new connections, running ones get `drain` to finish, then they are cut.
 */
import { judgeAccess } from './access.ts';
import { SluiceError, wrap } from './errors.ts';
import { LIMITS } from './limits.ts';
import { explainLink, type Link } from './link.ts';
import type { CoreLog } from './log.ts';
import { abortConnection, type Outcome } from './relay.ts';
import { serve, type Served } from './serve.ts';
import type { Folders, Inbound, Listener } from '../plugins/contract/index.ts';

/** A link that listens. */
export interface OpenLink {
  readonly link: Link;
  readonly listener: Listener;
  /** Resolves when the source has closed and the last connection is over; with that connection's outcome. */
  readonly done: Promise<Outcome | undefined>;
  stopListening(): void;
}

export class Gateway {
  readonly #log: CoreLog;
  readonly #folders: Folders;
  readonly #running = new Set<Served>();
  readonly #open = new Set<OpenLink>();
  #accepted = 0;

  constructor(log: CoreLog, folders: Folders) {
    this.#log = log;
    this.#folders = folders;
  }

  /** The connections that run now, for a progress line. */
  get running(): ReadonlySet<Served> {
    return this.#running;
  }

  /** Listens. @throws SluiceError SLUICE_LISTEN, SLUICE_ACCESS; then nothing of the link is left. */
  async open(link: Link): Promise<OpenLink> {
    const log = this.#log.child({ link: link.name });
    const stop = new AbortController();
    const last = { outcome: undefined as Outcome | undefined, pending: new Set<Promise<unknown>>() };
    const gate = { judged: false };
    const accept = (inbound: Inbound): void => {
      const refusal = this.#refusal(gate.judged, stop.signal);
      inbound.stream.on('error', () => {}); // a reset before the relay listens must not end the process
      if (refusal !== undefined) {
        log.warn('connection refused', { peer: inbound.peer.address, reason: refusal.message });
        return abortConnection(inbound, refusal);
      }
      if (link.once) stop.abort();
      const over = this.#serve(link, inbound, log).then((outcome) => {
        last.outcome = outcome;
        last.pending.delete(over);
      });
      last.pending.add(over);
    };
    const listener = await this.#listen(link, { log, signal: stop.signal, accept, folders: this.#folders });
    try {
      judgeAccess(link, listener);
    } catch (error) {
      stop.abort();
      await listener.closed;
      throw error;
    }
    gate.judged = true;
    const done = listener.closed.then(async () => {
      while (last.pending.size > 0) await Promise.all(last.pending);
      this.#open.delete(opened);
      return last.outcome;
    });
    const opened: OpenLink = { link, listener, done, stopListening: () => stop.abort() };
    this.#open.add(opened);
    this.#announce(opened, log);
    return opened;
  }

  /** No new connections; resolves with the number of those that had to be cut when `drain` was over. */
  async close(drain: number = LIMITS.drain): Promise<number> {
    const links = [...this.#open];
    for (const opened of links) opened.stopListening();
    if (this.#running.size > 0) this.#log.info('draining', { connections: this.#running.size, seconds: drain / 1000 });
    let cut = 0;
    const timer = setTimeout(() => {
      cut = this.#running.size;
      this.abort('the time to finish was over');
    }, drain);
    await Promise.all(links.map(({ done }) => done));
    clearTimeout(timer);
    return cut;
  }

  /** Cuts every running connection. */
  abort(why: string): void {
    for (const served of this.#running) served.abort(new SluiceError('SLUICE_STOPPED', why));
  }

  #refusal(judged: boolean, stopping: AbortSignal): SluiceError | undefined {
    if (!judged || stopping.aborted)
      return new SluiceError('SLUICE_STOPPED', 'the source does not take connections now');
    if (this.#running.size < LIMITS.relays) return undefined;
    return new SluiceError('SLUICE_BUSY', `${LIMITS.relays} connections are open, which is the limit`);
  }

  async #listen(
    link: Link,
    context: Parameters<NonNullable<Link['source']['transport']['listen']>>[1],
  ): Promise<Listener> {
    const { transport, parsed, text } = link.source;
    try {
      if (transport.listen === undefined) throw new Error('it cannot be a source');
      return await transport.listen(parsed, context);
    } catch (error) {
      throw wrap('SLUICE_LISTEN', `listen on ${text}`, error);
    }
  }

  #announce({ link, listener }: OpenLink, log: CoreLog): void {
    const { source, sink } = link;
    log.info('listening', { source: listener.address, sink: sink.text, ...(listener.dial && { dial: listener.dial }) });
    if (source.scheme === 'stdio') return;
    for (const sentence of explainLink(link)) log.debug('cannot carry', { what: sentence });
  }

  async #serve(link: Link, inbound: Inbound, log: CoreLog): Promise<Outcome> {
    this.#accepted += 1;
    const served = serve(link, inbound, {
      log: log.child({ connection: this.#accepted, peer: inbound.peer.address }),
      folders: this.#folders,
    });
    this.#running.add(served);
    try {
      return await served.outcome;
    } finally {
      this.#running.delete(served);
    }
  }
}
