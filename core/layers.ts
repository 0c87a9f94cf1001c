/**
 * Layers in front of a transport, as one transport: `zstd+tcp` listens and dials as `tcp` does, and each of its connections
 * is wrapped before anybody else sees it. The options of the layer have its name before them (`zstd.level`), so that none
 * can be taken for another's.
 */
import { within } from './blame.ts';
import { SluiceError } from './errors.ts';
import { isStream } from './guard.ts';
import { LIMITS } from './limits.ts';
import { abortConnection } from './relay.ts';
import type {
  Capability,
  Connection,
  DialContext,
  Inbound,
  Layer,
  LayerContext,
  ListenContext,
  Listener,
  OptionSpecs,
  Outbound,
  ParseInput,
  StreamCapability,
  Transport,
} from '../plugins/contract/index.ts';

/** What `parse` of the composed transport made: for the layer, and for what is below it. */
interface Composed {
  readonly layer: unknown;
  readonly below: unknown;
}

const OF_STREAMS: readonly Capability[] = ['half-close', 'proves-end', 'tells-cut'] satisfies StreamCapability[];

/** Diagnostics, status and the client's request go past most layers. */
const isAlone = ({ encrypts, handshakes }: Layer): boolean => encrypts === true || handshakes === true;

function capabilitiesOf(layer: Layer, below: Transport): Capability[] {
  const { keeps, adds } = layer;
  const kept = below.capabilities.filter((one) =>
    OF_STREAMS.includes(one) ? keeps.includes(one as StreamCapability) : one !== 'hand-off' && !isAlone(layer),
  );
  return [...new Set([...kept, ...adds])];
}

const prefixed = (name: string, options: OptionSpecs): OptionSpecs =>
  Object.fromEntries(Object.entries(options).map(([key, spec]) => [`${name}.${key}`, spec]));

/** The values of one of the two, without the prefix of the layer's. */
function split(name: string, options: Readonly<Record<string, unknown>>): { own: object; others: object } {
  const isOwn = ([key]: [string, unknown]): boolean => key.startsWith(`${name}.`);
  const entries = Object.entries(options);
  const own = entries.filter(isOwn).map(([key, value]) => [key.slice(name.length + 1), value]);
  return { own: Object.fromEntries(own), others: Object.fromEntries(entries.filter((one) => !isOwn(one))) };
}

/** Calls `wrap` under a deadline; a layer that comes too late has its connection freed. @throws what it was refused for */
async function wrap<C extends Inbound | Outbound>(
  layer: Layer,
  options: unknown,
  below: C,
  context: LayerContext,
): Promise<C> {
  const attempt = new AbortController();
  const refused = Promise.withResolvers<never>();
  const giveUp = (why: string): void => {
    const reason = new Error(`layer "${layer.name}": ${why}`);
    refused.reject(reason);
    attempt.abort(reason);
  };
  const seconds = LIMITS.dialTimeout / 1000;
  const deadline = setTimeout(() => giveUp(`no answer within ${seconds} s`), LIMITS.dialTimeout);
  const onAbort = (): void => giveUp('given up');
  const onClose = (): void => giveUp(below.stream.errored?.message ?? 'the connection below was closed');
  below.stream.on('error', () => {}); // the layer's own listener may come late
  below.stream.once('close', onClose);
  context.signal.addEventListener('abort', onAbort);
  if (context.signal.aborted) onAbort();
  try {
    if (isAlone(layer)) (below as Inbound).established?.({ exit: false }); // before that nothing comes from a tunnel's far side
    const wrapping = start(layer, options, below, { ...context, signal: attempt.signal });
    const free = ({ stream }: Pick<Connection, 'stream'>, why: Error): void =>
      abortConnection({ stream, peer: below.peer }, why);
    wrapping.then((late) => refused.promise.catch((why: Error) => free(late, why))).catch(() => {});
    return compose(layer, below, await Promise.race([wrapping, refused.promise]));
  } catch (error) {
    abortConnection(below, error instanceof Error ? error : new Error(String(error)));
    throw error;
  } finally {
    clearTimeout(deadline);
    below.stream.off('close', onClose);
    context.signal.removeEventListener('abort', onAbort);
  }
}

async function start(layer: Layer, options: unknown, { stream, peer }: Connection, context: LayerContext) {
  const made = await within(layer.name, () => layer.wrap(options, { stream, peer }, context));
  if (isStream((made as Partial<typeof made> | undefined)?.stream)) return made;
  throw new Error(`layer "${layer.name}": its "wrap" must resolve with { stream }, a Duplex of Node`);
}

/** The connection with the layer's stream in place of its own: what goes beside the bytes stays as it is. */
function compose<C extends Inbound | Outbound>(
  layer: Layer,
  below: C,
  { stream, ...proved }: Awaited<ReturnType<typeof start>>,
): C {
  const { handle: _untouched, ...all } = below as Inbound & Outbound;
  const { diagnostics, exit: _exit, exited: _exited, established: _told, request: _asked, ...alone } = all;
  const beside = isAlone(layer) ? alone : all;
  if (isAlone(layer)) diagnostics?.resume?.(); // a command would wait for its reader
  const abort = (reason: Error): void => {
    below.abort?.(reason); // first: what is below tells the cut as hard as it can
    stream.destroy(reason);
  };
  return { ...(beside as unknown as C), ...proved, stream, abort };
}

/** Wraps what the transport below accepts, many at once, and hands on what could be wrapped. */
class LayeredIntake {
  readonly #pending = new Set<Promise<void>>();
  readonly #layer: Layer;
  readonly #options: unknown;
  readonly #context: ListenContext;

  constructor(layer: Layer, options: unknown, context: ListenContext) {
    this.#layer = layer;
    this.#options = options;
    this.#context = context;
  }

  take(below: Inbound): void {
    const taken = this.#wrap(below).finally(() => this.#pending.delete(taken));
    this.#pending.add(taken);
  }

  async #wrap(below: Inbound): Promise<void> {
    const { accept, log } = this.#context;
    try {
      accept(await wrap(this.#layer, this.#options, below, { ...this.#context, role: 'source' }));
    } catch (error) {
      below.arrival?.release(); // nobody accepts it who would
      log.debug('connection refused by a layer', { layer: this.#layer.name, peer: below.peer.address, error });
    }
  }

  async over(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }
}

/** A token is never shown by what is below a layer that encrypts: it would be read there. */
const canShowBelow = (layer: Layer, below: Transport): boolean => below.showsToken === true && !layer.encrypts;

/** What the transport below may agree on and show. */
function contextBelow<C extends ListenContext | DialContext>(layer: Layer, below: Transport, context: C): C {
  const { token, request, ...rest } = context as DialContext;
  const shown = {
    ...rest,
    ...(token !== undefined && canShowBelow(layer, below) && { token }),
    ...(request !== undefined && !isAlone(layer) && { request }),
  } as unknown as C;
  return layer.negotiates ? { ...shown, protocols: [] } : shown;
}

async function listen(layer: Layer, below: Transport, address: Composed, context: ListenContext): Promise<Listener> {
  const intake = new LayeredIntake(layer, address.layer, context);
  const admitAll = { admit: () => ({}) };
  const isHidden = below.showsToken === true && !canShowBelow(layer, below);
  const listener = await (below.listen as NonNullable<Transport['listen']>)(address.below, {
    ...contextBelow(layer, below, context),
    ...(isHidden && admitAll), // its clients show their token above the layer
    accept: (inbound) => intake.take(inbound),
  });
  return {
    ...listener,
    address: `${layer.name}+${listener.address}`,
    ...(listener.dial === undefined ? {} : { dial: `${layer.name}+${listener.dial}` }),
    closed: listener.closed.then(() => intake.over()),
  };
}

async function dial(layer: Layer, below: Transport, address: Composed, context: DialContext): Promise<Outbound> {
  const dialed = await (below.dial as NonNullable<Transport['dial']>)(
    address.below,
    contextBelow(layer, below, context),
  );
  const wrapped = await wrap(layer, address.layer, dialed, { ...context, role: 'sink' });
  return { ...wrapped, peer: { address: `${layer.name}+${dialed.peer.address}` } };
}

const at = (address: unknown): Composed => address as Composed;

/** The methods of the transport below, each with its own part of the address. */
function methodsOf(layer: Layer, below: Transport): Partial<Transport> {
  return {
    occupies: (address) => below.occupies?.(at(address).below),
    reach: (address) => below.reach?.(at(address).below),
    ...(below.proves && { proves: (address) => below.proves?.(at(address).below) ?? [] }),
    dialTimeout: (address) => below.dialTimeout?.(at(address).below) ?? 0,
    ...(below.account && { account: (address) => below.account?.(at(address).below) }),
    via: (address) => below.via?.(at(address).below),
    caution: (address, who) => below.caution?.(at(address).below, who),
    inspect: async (address, role, proofs) => [
      ...((await layer.inspect?.(at(address).layer, role)) ?? []),
      ...((await below.inspect?.(at(address).below, role, proofs)) ?? []),
    ],
    ...(below.listen && { listen: (address, context) => listen(layer, below, at(address), context) }),
    ...(below.dial && { dial: (address, context) => dial(layer, below, at(address), context) }),
  };
}

function parse(layer: Layer, below: Transport, scheme: string, input: ParseInput<OptionSpecs>): Composed {
  const { own, others } = split(layer.name, input.options);
  const { role, resolvePath } = input;
  const optionsOfLayer = layer.parse({ options: own as never, role, resolvePath });
  return { layer: optionsOfLayer, below: below.parse({ ...input, scheme, options: others as never }) };
}

/**
 * `LAYER+SCHEME` as a transport of its own.
 *
 * @param scheme the one of the transport's that is meant
 * @throws SluiceError SLUICE_ADDRESS for a layer that stands there already: its options could be either's
 */
export function layered(layer: Layer, below: Transport, scheme: string): Transport {
  const { name } = layer;
  if (scheme.split('+').includes(name) && Object.keys(below.options).some((key) => key.startsWith(`${name}.`)))
    throw new SluiceError('SLUICE_ADDRESS', `layer "${name}" stands twice in "${name}+${scheme}:"; leave one out`);
  const { adopt: _needsSocket, capabilities: _below, caveats = [], encrypts, negotiates, ...same } = below;
  const { showsToken: _shows, ...rest } = same;
  return {
    ...rest,
    name: `${name}+${scheme}`,
    schemes: [`${name}+${scheme}`],
    grammar: `${name}+${below.grammar}`,
    summary: `${below.summary}; ${layer.summary}`,
    options: { ...prefixed(name, layer.options), ...below.options },
    capabilities: capabilitiesOf(layer, below),
    caveats: [...(layer.caveats ?? []), ...caveats],
    ...((encrypts || layer.encrypts) && { encrypts: true }),
    ...((negotiates || layer.negotiates) && { negotiates: true }),
    ...(canShowBelow(layer, below) && { showsToken: true }),
    parse: (input) => parse(layer, below, scheme, input),
    ...methodsOf(layer, below),
  };
}
