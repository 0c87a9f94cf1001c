/**
 * Starts what a configuration says, with sources that bind nothing and sinks that reach nothing, and lets somebody from the
 * network try to come in who can prove nothing. Whether a source can be reached from there is judged by this file's own rule.
 */
import { BlockList, isIP } from 'node:net';
import { duplexPair } from 'node:stream';
import { once } from 'node:events';
import type { IdentityEntry } from '../../core/config/identities.ts';
import type { Loaded } from '../../core/config/load.ts';
import { createContainer, tokens, Tunnels, builtInTransports, type Gateway } from '../../core/index.ts';
import { SluiceError } from '../../core/errors.ts';
import { Identities, type Known } from '../../core/identities.ts';
import type { Link } from '../../core/link.ts';
import { Registry } from '../../core/registry.ts';
import { greetAsDialer } from '../../core/session/handshake.ts';
import { Session } from '../../core/session/session.ts';
import { hashToken } from '../../core/token-hash.ts';
import { ConfiguredTunnels } from '../../core/tunnels/configured.ts';
import type { Inbound, ListenContext, Transport } from '../../plugins/contract/index.ts';
import { RecordedLog } from './gateway.ts';

const thisMachine = new BlockList();
thisMachine.addSubnet('127.0.0.0', 8, 'ipv4');
thisMachine.addAddress('::1', 'ipv6');

interface Place {
  readonly host?: string;
  readonly place?: { readonly kind: string; readonly host?: string };
  readonly trusted?: readonly string[];
}

/** From where a source can be reached: what a name stands for only its lookup tells, so it counts as the network. */
export function isReachable(parsed: unknown): boolean {
  const { place, trusted = [], host = place?.host } = parsed as Place;
  if (trusted.length > 0) return true;
  if (host === undefined) return false;
  if (isIP(host) === 0) return host !== 'localhost';
  return !thisMachine.check(host, isIP(host) === 4 ? 'ipv4' : 'ipv6');
}

/** What one start has come to. */
class Stage {
  readonly bound: { readonly parsed: unknown; readonly context: ListenContext }[] = [];
  dials = 0;

  /** Everything of a transport but what it opens. A tunnel's source opens nothing, and stays as it is. */
  readonly pretend = (transport: Transport): Transport => {
    const { adopt: _adopt, ...others } = transport;
    return {
      ...others,
      ...(transport.listen &&
        transport.name !== 'tunnel' && { listen: async (parsed, context) => this.#listen(transport, parsed, context) }),
      ...(transport.dial && { dial: async () => this.#dial() }),
    };
  };

  #listen(transport: Transport, parsed: unknown, context: ListenContext) {
    this.bound.push({ parsed, context });
    const reach = transport.reach?.(parsed) ?? 'network';
    return { address: `${transport.name}:pretended`, reach, closed: once(context.signal, 'abort').then(() => {}) };
  }

  #dial() {
    this.dials += 1;
    const [stream, far] = duplexPair();
    far
      .resume()
      .on('error', () => {})
      .end();
    return { stream, peer: { address: 'pretended' } };
  }
}

const PEER = '203.0.113.7:40000';

/** A connection that shows nothing, as a web server would have let it in, and as any other source does. */
function knock({ context }: Stage['bound'][number], protocol: Pick<Inbound, 'protocol'>) {
  const [stream, near] = duplexPair();
  near.on('error', () => {});
  const admitted = context.admit({}, PEER);
  context.accept({ stream, peer: { address: PEER }, credentials: {}, ...admitted, ...protocol });
  return { near };
}

async function knockPlainly(bound: Stage['bound'][number]): Promise<void> {
  const { near } = knock(bound, {});
  near.resume().end();
  if (!near.closed) await once(near, 'close');
}

const quiet = { onOpen: () => {}, onProgress: () => {}, onDetached: () => {}, onEnded: () => {} };

/** Asks for a session, and for a stream in it. Resolves with whether there is a session. */
async function knockForSession(bound: Stage['bound'][number], services: readonly string[]): Promise<boolean> {
  const { near } = knock(bound, { protocol: 'session' });
  try {
    await greetAsDialer(near, {}, { message: 5_000, whole: 5_000 });
  } catch {
    near.destroy();
    return false;
  }
  const session = new Session({ side: 'dialer', ...quiet });
  session.attach(near, 0);
  await Promise.allSettled(services.map((service) => session.open({ service, metadata: {} }).opened));
  session.end(new Error('seen enough'));
  await session.closed;
  return true;
}

export interface Reached {
  /** Streams or connections of strangers that were let through to a sink. */
  readonly dials: number;
  readonly hasSession: boolean;
  readonly isReachable: boolean;
}

/** Everything of one start that strangers have reached, by link (or entrance of tunnels). */
export interface Start {
  readonly links: readonly { readonly link: Link; readonly reached: Reached }[];
  readonly entrances: readonly { readonly allow: readonly string[]; readonly reached: Reached }[];
}

const knownAs = ([name, { token, ...proofs }]: [string, IdentityEntry]): Known => ({
  identity: { name },
  hash: token && hashToken(`slu_${name}_0123456789abcdef`),
  ...proofs,
});

export class PretendedGateway {
  readonly registry: Registry;
  readonly #stage = new Stage();
  readonly #tunnels = new Tunnels();
  readonly #gateway: Gateway;

  constructor() {
    const transports = builtInTransports({ interrupted: () => false }, this.#tunnels).map(this.#stage.pretend);
    const folders = { runtime: '/nonexistent', state: '/nonexistent' };
    const log = new RecordedLog().asLog();
    const container = createContainer({ log, folders, transports, options: { tunnels: this.#tunnels } });
    this.registry = container.get(tokens.registry);
    this.#gateway = container.get(tokens.gateway);
  }

  /** Opens one link or entrance after the other; those that are refused are left out, for what they are refused with. */
  async start({ links, tunnels, identities }: Loaded, refused: (error: SluiceError) => void): Promise<Start> {
    const gateway = this.#gateway;
    gateway.know(new Identities([...identities].map(knownAs)));
    const plans = new ConfiguredTunnels(gateway, new RecordedLog().asLog()).adopt(tunnels);
    const opens = async (open: () => Promise<unknown>): Promise<boolean> => {
      this.#stage.bound.length = 0; // one that was refused had been bound before
      try {
        await open();
        return true;
      } catch (error) {
        if (!SluiceError.is(error)) throw error;
        refused(error);
        return false;
      }
    };
    const seen: { links: Start['links'][number][]; entrances: Start['entrances'][number][] } = {
      links: [],
      entrances: [],
    };
    for (const link of links)
      if (await opens(() => gateway.open(link)))
        seen.links.push({ link, reached: await this.#tryAll(['default', ...link.services.keys(), 'sftp']) });
    for (const plan of plans.entrances)
      if (await opens(() => gateway.openEntrance(plan)))
        seen.entrances.push({
          allow: plan.waiting.flatMap(({ allow }) => allow),
          reached: await this.#tryAll(['default']),
        });
    await gateway.close(0);
    return seen;
  }

  /** At the source that has been bound, if it was: a tunnel's is not. */
  async #tryAll(services: readonly string[]): Promise<Reached> {
    const bound = this.#stage.bound.pop();
    if (bound === undefined) return { dials: 0, hasSession: false, isReachable: false };
    this.#stage.dials = 0;
    const hasSession = await knockForSession(bound, services);
    if (!bound.context.signal.aborted) await knockPlainly(bound); // what belongs to standard input has served its one
    return { dials: this.#stage.dials, hasSession, isReachable: isReachable(bound.parsed) };
  }
}
