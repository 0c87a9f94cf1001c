/**
 * The gateway runs links: for each it listens, and for every connection that the source accepts it hands the socket to
 * the sink's command, or dials the sink and relays. To stop: no new connections, running ones get `drain` to finish,
 * then they are cut.
 *
 * A connection's way through the code: open-link.ts (accept) → serve.ts → handoff.ts, or dial.ts → relay.ts → pump.ts.
 */
import { SluiceError } from './errors.ts';
import { LIMITS } from './limits.ts';
import type { Link } from './link.ts';
import type { CoreLog } from './log.ts';
import { openLink, type LinkContext, type OpenLink } from './open-link.ts';
import type { Served } from './serve.ts';
import type { Folders } from '../plugins/contract/index.ts';

export class Gateway {
  readonly #context: LinkContext;
  readonly #open = new Set<OpenLink>();
  #accepted = 0;
  #isClosing = false;

  constructor(log: CoreLog, folders: Folders) {
    this.#context = { log, folders, running: new Set(), number: () => (this.#accepted += 1) };
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
