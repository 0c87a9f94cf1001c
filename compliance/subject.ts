/** What is examined: a transport, or a layer over a transport in memory, as something that makes connections with two ends. */
import { parseAddress, type Address } from '../core/address.ts';
import { Registry } from '../core/registry.ts';
import { protocolsFree } from './context.ts';
import { newPlace, soon, type Bench } from './bench.ts';
import type {
  Capability,
  Connection,
  Inbound,
  Layer,
  Listener,
  Outbound,
  Transport,
} from '../plugins/contract/index.ts';

/** A place where the suite itself can take what a sink dials, for transports that do not listen. */
export interface Far {
  readonly sink: string;
  /** The next connection that arrives there. */
  accept(): Promise<Connection>;
}

export interface TransportOptions {
  /** An address to listen on; `n` differs in each call, `folder` is empty and goes away afterwards. */
  readonly source?: (n: number, folder: string) => string;
  /** The address that reaches a source, made of the one that it bound; by default that one. */
  readonly sink?: (bound: string) => string;
  /** For a transport that cannot listen: somewhere to be dialed. */
  readonly far?: (bench: Bench) => Promise<Far>;
  /** A sink that cannot be reached, for a transport that cannot listen. */
  readonly nobody?: string;
  /** Promises that are not examined, each with a reason that the report shows. */
  readonly skip?: Readonly<Partial<Record<string, string>>>;
}

type Signal = AbortSignal;

/** A source that listens. */
export interface Listening {
  readonly listener: Listener;
  /** The connections so far. */
  readonly accepted: readonly Inbound[];
  next(): Promise<Inbound>;
  dial(signal?: Signal): Promise<Outbound>;
  /** Stops it; resolves with `closed`. */
  stop(): Promise<void>;
}

/** Both ends of one connection: the dialed one, and the one that was accepted. */
export interface Pair {
  readonly near: Outbound;
  readonly far: Connection & Partial<Inbound>;
}

const readSecret = async (): Promise<string> => 'no secret';

export class Subject {
  readonly name: string;
  readonly capabilities: readonly Capability[];
  /** What its author wrote: nothing stands between it and the checks. */
  readonly given: Transport | Layer;
  readonly layer: Layer | undefined;
  readonly options: TransportOptions;
  readonly #registry: Registry;
  readonly #transport: Transport;
  #isStuck = false;

  /** @param layer the one that is examined, over that transport */
  constructor(transport: Transport, options: TransportOptions, layer?: Layer) {
    this.#registry = new Registry([transport], layer === undefined ? [] : [layer]);
    const [scheme = ''] = transport.schemes;
    this.#transport = this.#registry.get(layer === undefined ? scheme : `${layer.name}+${scheme}`);
    this.given = layer ?? transport;
    this.layer = layer;
    this.name = layer === undefined ? scheme : `${layer.name}+`;
    this.capabilities = this.#transport.capabilities;
    this.options = options;
  }

  has(capability: Capability): boolean {
    return this.capabilities.includes(capability);
  }

  get listens(): boolean {
    return this.#transport.listen !== undefined && this.options.source !== undefined;
  }

  get dials(): boolean {
    return this.#transport.dial !== undefined;
  }

  /** Whether two sources at one address of its kind are in each other's way. */
  get occupies(): boolean {
    const { source } = this.options;
    if (source === undefined) return false;
    const { transport, parsed } = this.read(source(0, '/'), 'source');
    return transport.occupies?.(parsed) !== undefined;
  }

  read(text: string, role: 'source' | 'sink', folder = '/'): Address {
    return parseAddress(text, { registry: this.#registry, role, folder });
  }

  sourceAt(bench: Bench): string {
    return this.options.source?.(newPlace(), bench.folders.runtime) ?? '';
  }

  /** @param text where, if not at a new place */
  async listen(bench: Bench, text = this.sourceAt(bench)): Promise<Listening> {
    const stop = new AbortController();
    const accepted: Inbound[] = [];
    const waiting: ((inbound: Inbound) => void)[] = [];
    let handed = 0;
    const { transport, parsed } = this.read(text, 'source');
    const listener = await (transport.listen as NonNullable<Transport['listen']>)(parsed, {
      ...protocolsFree(bench),
      signal: stop.signal,
      accept: (inbound) => {
        bench.own(inbound.stream);
        accepted.push(inbound);
        if (waiting.length > 0) handed += 1;
        waiting.shift()?.(inbound);
      },
      admit: () => ({}),
      arrive: () => ({ release: () => {} }),
      proofs: () => [],
    });
    const end = (): Promise<void> => {
      stop.abort();
      return listener.closed;
    };
    bench.defer(() => this.#untilClosed(end()));
    const bound = this.options.sink?.(listener.dial ?? listener.address) ?? listener.dial ?? listener.address;
    const next = async (): Promise<Inbound> =>
      accepted[handed] === undefined
        ? soon(new Promise((resolve) => waiting.push(resolve)), 'an accept')
        : (accepted[(handed += 1) - 1] as Inbound);
    return { listener, accepted, next, dial: (signal) => this.dial(bench, bound, signal), stop: end };
  }

  /** One that never says that it has closed is waited for once. */
  async #untilClosed(closed: Promise<void>): Promise<void> {
    const limit = this.#isStuck ? 0 : 1_000;
    await soon(closed, 'closed', limit).catch(() => (this.#isStuck = true));
  }

  async dial(bench: Bench, text: string, signal?: Signal): Promise<Outbound> {
    const { transport, parsed } = this.read(text, 'sink');
    const context = {
      ...protocolsFree(bench),
      signal: signal ?? new AbortController().signal,
      readSecret,
      link: 'suite',
      peer: { address: 'suite' },
    };
    const outbound = await (transport.dial as NonNullable<Transport['dial']>)(parsed, context);
    bench.own(outbound.stream);
    return outbound;
  }

  /** Both ends of a new connection. */
  async open(bench: Bench): Promise<Pair> {
    if (this.listens && this.dials) {
      const { dial, next } = await this.listen(bench);
      const [near, far] = await soon(Promise.all([dial(), next()]), 'a connection');
      return { near, far };
    }
    const { sink, accept } = await (this.options.far as NonNullable<TransportOptions['far']>)(bench);
    const [near, far] = await soon(Promise.all([this.dial(bench, sink), accept()]), 'a connection');
    bench.own(far.stream);
    return { near, far };
  }

  /** A place that could be dialed and is not there any more. */
  async deserted(bench: Bench): Promise<((signal?: Signal) => Promise<Outbound>) | undefined> {
    const { nobody } = this.options;
    if (nobody !== undefined) return (signal) => this.dial(bench, nobody, signal);
    if (!this.listens) return undefined;
    const { dial, stop } = await this.listen(bench);
    await this.#untilClosed(stop()); // the promise about listening tells
    return dial;
  }
}
