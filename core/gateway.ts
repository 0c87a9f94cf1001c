/**
 * The gateway runs links: for each it listens, and for every connection that the source accepts it hands the socket to
 * the sink's command, or dials the sink and relays. To stop: no new connections, running ones get `drain` to finish,
 * then they are cut.
 *
 * A connection's way through the code: open-link.ts (accept) → serve.ts → handoff.ts, or dial.ts → relay.ts → pump.ts.
 */
import { SluiceError } from './errors.ts';
import { LIMITS } from './limits.ts';
import { Identities } from './identities.ts';
import type { Link } from './link.ts';
import type { CoreLog } from './log.ts';
import { openLink, type LinkContext, type OpenLink } from './open-link.ts';
import type { Loudness, Served } from './serve.ts';
import type { TokenReference } from './token.ts';
import type { Folders } from '../plugins/contract/index.ts';

const LOUD: Loudness = { outage: 'warn', cut: 'warn' };

export interface GatewayOptions {
  /** Where the token is that is shown to sinks whose address names none. */
  readonly token?: TokenReference | undefined;
  readonly loudness?: Loudness;
}

export class Gateway {
  #context: LinkContext;
  readonly #open = new Set<OpenLink>();
  #accepted = 0;
  #isClosing = false;

  constructor(log: CoreLog, folders: Folders, { token, loudness = LOUD }: GatewayOptions = {}) {
    const number = (): number => (this.#accepted += 1);
    this.#context = { log, folders, token, loudness, running: new Set(), number, identities: new Identities() };
  }

  /** Who is known, for links that open from now on. */
  know(identities: Identities): void {
    this.#context = { ...this.#context, identities };
  }

  /** The connections that run now. */
  get running(): ReadonlySet<Served> {
    return this.#context.running;
  }

  /** Listens. @throws SluiceError SLUICE_LISTEN, SLUICE_ACCESS, SLUICE_STOPPED; then nothing of the link is left. */
  async open(link: Link): Promise<OpenLink> {
    const stopped = new SluiceError('SLUICE_STOPPED', `the gateway was stopped before link "${link.name}" was open`);
    if (this.#isClosing) throw stopped;
    const opened = await openLink(link, this.#context);
    if (this.#isClosing) {
      opened.stopListening();
      await opened.done;
      throw stopped;
    }
    this.#open.add(opened);
    void opened.done.then(() => this.#open.delete(opened));
    return opened;
  }

  /**
   * No new connections. Resolves when all are over, with the number of those that had to be cut.
   * @param drain ms that running connections get
   */
  async close(drain: number = LIMITS.drain): Promise<number> {
    this.#isClosing = true;
    const links = [...this.#open];
    for (const opened of links) opened.stopListening();
    const { running, log } = this.#context;
    if (running.size > 0)
      log.info('draining', { connections: running.size, seconds: drain / 1000, hint: 'a second signal ends at once' });
    let cut = 0;
    const timer = setTimeout(() => {
      cut = running.size;
      this.abort('the time to finish was over');
    }, drain);
    await Promise.all(links.map(({ done }) => done));
    clearTimeout(timer);
    return cut;
  }

  /** Cuts every running connection. */
  abort(why: string): void {
    for (const served of this.running) served.abort(new SluiceError('SLUICE_STOPPED', why));
  }
}
