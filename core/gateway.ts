/**
 * The gateway runs links and tunnels: for each link it listens, and for every connection that the source accepts it hands
 * the socket to the sink's command, or dials the sink and relays. To stop: no new connections, running ones get `drain`
 * to finish, then they are cut.
 *
 * A connection's way through the code: door.ts (accept) → open-link.ts → serve.ts → handoff.ts, or dial.ts → relay.ts →
 * pump.ts. A tunnel is kept by tunnels/dialing.ts, or comes in by tunnels/entrance.ts.
 */
import { Admission } from './admission/admission.ts';
import type { AdmissionLimits } from './admission/limits.ts';
import type { Address } from './address.ts';
import { SluiceError } from './errors.ts';
import { LIMITS } from './limits.ts';
import { Identities } from './identities.ts';
import type { Link } from './link.ts';
import type { CoreLog } from './log.ts';
import { openLink, type LinkContext, type OpenLink } from './open-link.ts';
import type { Registry } from './registry.ts';
import type { Loudness, Served } from './serve.ts';
import type { TokenReference } from './token.ts';
import { originOf } from './tunnels/origins.ts';
import { Tunnels } from './tunnels/tunnels.ts';
import type { DialingPlan } from './tunnels/dialing.ts';
import type { EntrancePlan, Waiting } from './tunnels/entrance.ts';
import type { Variables, WithinReach } from './tunnels/within-reach.ts';
import type { Folders, Inbound, Listener } from '../plugins/contract/index.ts';

const LOUD: Loudness = { outage: 'warn', cut: 'warn' };

export interface GatewayOptions {
  /** Where the token is that is shown to sinks whose address names none. */
  readonly token?: TokenReference | undefined;
  readonly loudness?: Loudness;
  /** How many may come in. */
  readonly limits?: AdmissionLimits;
  /** What the transport `tunnel:` asks: the two must be given the same. */
  readonly tunnels?: Tunnels;
  /** The command line that is this program, for what the commands of a far side find within their reach. */
  readonly sluice?: readonly string[];
}

/** For links that nobody has asked for by name: what is told of them is detail. */
const whispering = (log: CoreLog): CoreLog => ({
  ...log,
  info: (message, fields) => log.debug(message, fields),
  child: (fields) => whispering(log.child(fields)),
});

/** A tunnel that runs: dialed, or waited for. */
export interface OpenTunnel {
  /** Resolves when it was stopped, and its sessions are over. */
  readonly done: Promise<void>;
  /** Why its source has ended without having been asked to. */
  readonly failure?: SluiceError | undefined;
  /** For one that is dialed: resolves when it is up for the first time, rejects where that is not waited for. */
  readonly up?: Promise<void>;
  /** Where it listens, as bound. */
  readonly address?: string;
  /** No new streams. */
  stop(): void;
  /** Cuts what is left. */
  end(reason: Error): void;
  readonly listener?: Listener;
  /** For one that is listened for: who its far side may be from now on. */
  update?(waiting: readonly Waiting[]): void;
  /** Cuts whoever would not be let in any more. */
  review?(): Promise<void>;
}

export class Gateway {
  readonly tunnels: Tunnels;
  readonly admission: Admission;
  readonly #context: LinkContext;
  #identities = new Identities();
  readonly #registry: Registry;
  readonly #sluice: readonly string[];
  readonly #open = new Set<OpenLink>();
  readonly #openTunnels = new Set<OpenTunnel>();
  #accepted = 0;
  #isClosing = false;
  #withinReach: Promise<WithinReach> | undefined;

  constructor(log: CoreLog, folders: Folders, registry: Registry, options: GatewayOptions = {}) {
    const { token, loudness = LOUD, tunnels = new Tunnels(), sluice = ['sluice'] } = options;
    this.tunnels = tunnels;
    this.#registry = registry;
    this.#sluice = sluice;
    const number = (): number => (this.#accepted += 1);
    const within = this.#variables.bind(this);
    this.admission = new Admission(log, options.limits, (name) => this.#identities.limitsOf(name));
    const identities = (): Identities => this.#identities;
    this.#context = {
      log,
      folders,
      token,
      loudness,
      running: new Set(),
      number,
      within,
      identities,
      admission: this.admission,
    };
  }

  get identities(): Identities {
    return this.#identities;
  }

  /** Who is known from now on, also to the links that are open. */
  know(identities: Identities): void {
    this.#identities = identities;
    this.admission.advance();
  }

  /** The connections that run now. */
  get running(): ReadonlySet<Served> {
    return this.#context.running;
  }

  /** Listens. @throws SluiceError SLUICE_LISTEN, SLUICE_ACCESS, SLUICE_STOPPED; then nothing of the link is left. */
  open(link: Link): Promise<OpenLink> {
    return this.#openWith(link, this.#context);
  }

  async #openWith(link: Link, context: LinkContext): Promise<OpenLink> {
    const stopped = new SluiceError('SLUICE_STOPPED', `the gateway was stopped before link "${link.name}" was open`);
    if (this.#isClosing) throw stopped;
    const opened = await openLink(link, context);
    if (this.#isClosing) {
      opened.stopListening();
      await opened.done;
      throw stopped;
    }
    this.#open.add(opened);
    void opened.done.then(() => this.#open.delete(opened));
    return opened;
  }

  /** Keeps a tunnel up from now on, by dialing; whether anybody is there is told by the tunnel itself. */
  async dialTunnel(plan: DialingPlan): Promise<OpenTunnel> {
    const { DialedTunnel } = await import('./tunnels/dialing.ts');
    const isOwn = (id: string): boolean => this.tunnels.isOwn(id);
    this.#assertRuns();
    return this.#keep(new DialedTunnel(plan, { ...this.#context, isOwn }));
  }

  /** Listens for the far sides of tunnels. @throws SluiceError SLUICE_LISTEN, SLUICE_ACCESS; then nothing is left. */
  async openEntrance(plan: EntrancePlan): Promise<OpenTunnel> {
    const { openEntrance } = await import('./tunnels/entrance.ts');
    this.#assertRuns();
    return this.#keep(await openEntrance(plan, this.#context));
  }

  #assertRuns(): void {
    if (this.#isClosing)
      throw new SluiceError('SLUICE_STOPPED', 'the gateway was stopped before its tunnels were open');
  }

  #keep(tunnel: OpenTunnel): OpenTunnel {
    this.#openTunnels.add(tunnel);
    if (this.#isClosing) tunnel.stop();
    void tunnel.done.then(() => this.#openTunnels.delete(tunnel));
    return tunnel;
  }

  async #variables(inbound: Inbound, sink: Address, link: Link): Promise<Variables | undefined> {
    if (originOf(inbound) === undefined) return undefined;
    this.#withinReach ??= import('./tunnels/within-reach.ts').then(
      ({ WithinReach: Reach }) =>
        new Reach({
          registry: this.#registry,
          sluice: this.#sluice,
          log: this.#context.log,
          open: (one) => this.#openWith(one, { ...this.#context, log: whispering(this.#context.log) }),
        }),
    );
    return (await this.#withinReach).of(inbound, sink, link);
  }

  /**
   * No new connections. Resolves when all are over, with the number of those that had to be cut.
   * @param drain ms that running connections get
   */
  async close(drain: number = LIMITS.drain): Promise<number> {
    this.#isClosing = true;
    const links = [...this.#open];
    const tunnels = [...this.#openTunnels];
    for (const opened of links) opened.stopListening();
    for (const tunnel of tunnels) tunnel.stop();
    const { running, log } = this.#context;
    if (running.size > 0)
      log.info('draining', { connections: running.size, seconds: drain / 1000, hint: 'a second signal ends at once' });
    let cut = 0;
    const timer = setTimeout(() => {
      cut = running.size;
      this.abort('the time to finish was over');
      for (const tunnel of tunnels) tunnel.end(new SluiceError('SLUICE_STOPPED', 'the time to finish was over'));
    }, drain);
    await Promise.all([...links, ...tunnels].map(({ done }) => done as Promise<unknown>));
    clearTimeout(timer);
    return cut;
  }

  /**
   * Reads anew what sources have of files. Resolves with what puts it into effect; rejects if one of them is no good, and
   * then nothing has changed.
   *
   * @param links those whose sources are meant, and the entrances of tunnels
   */
  async renew(links: Iterable<OpenLink> = this.#open): Promise<() => void> {
    const listeners = [...links, ...this.#openTunnels].flatMap(({ listener }) => listener ?? []);
    const renewals = await Promise.all(listeners.map(async (listener) => listener.renew?.()));
    return () => {
      for (const commit of renewals) commit?.();
    };
  }

  /** Cuts the connections and ends the sessions of whoever would not be let in any more. */
  async review(): Promise<void> {
    await Promise.all([...this.#open, ...this.#openTunnels].map(async (one) => one.review?.()));
  }

  /** Cuts every running connection. */
  abort(why: string): void {
    for (const served of this.running) served.abort(new SluiceError('SLUICE_STOPPED', why));
  }
}
