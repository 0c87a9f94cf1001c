/** The `tunnels` of a configuration, and whether the links that name one name one that is there. Nothing is opened. */
import { ANYONE, type Link } from '../link.ts';
import { assertKnown } from '../access.ts';
import { isPrivate, type Address } from '../address.ts';
import { LIMITS } from '../limits.ts';
import { parseDuration } from '../options.ts';
import type { Registry } from '../registry.ts';
import { tunnelsOf, type TunnelPlans } from '../tunnels/plans.ts';
import { tunnelOf } from '../tunnels/tunnel-address.ts';
import { Tunnel } from '../tunnels/tunnel.ts';
import type { DialingPlan } from '../tunnels/dialing.ts';
import type { EntrancePlan, Waiting } from '../tunnels/entrance.ts';
import type { Mistake } from './document.ts';
import { Attempts, readEndpoint } from './endpoints.ts';
import { listOf } from './links.ts';
import type { Loaded } from './load.ts';
import type { Configuration, Endpoint } from './schema.ts';

type TunnelEntry = NonNullable<Configuration['tunnels']>[string];

export interface TunnelsContext {
  readonly folder: string;
  readonly registry: Registry;
  /** Names of `identities`. */
  readonly known: readonly string[];
  /** Looks at an address that was read: a tunnel may run through another. @throws Error for one that is not there */
  readonly assertKnownTunnel: (address: Address) => void;
}

type Waits = Waiting & { readonly source: Address };

/** One tunnel; nothing where there are mistakes. */
function readTunnel(
  name: string,
  entry: TunnelEntry,
  attempts: Attempts,
  context: TunnelsContext,
): DialingPlan | Waits | undefined {
  const { folder, registry, known, assertKnownTunnel } = context;
  const { wait, token, proxy, resume, heartbeat, dial, listen, allow } = entry;
  const tunnel = new Tunnel(name, wait === 'off' ? 0 : (parseDuration(wait ?? '') ?? LIMITS.tunnelWait));
  const terms = { ...(resume !== undefined && { resume }), ...(heartbeat !== undefined && { heartbeat }) };
  const read = (path: readonly PropertyKey[], endpoint: Endpoint, role: 'source' | 'sink', extra: object) =>
    attempts.try([name, ...path], () => {
      const address = readEndpoint(endpoint, role, folder, registry, { extra: { ...extra }, session: 'always' });
      assertKnownTunnel(address);
      return address;
    });
  if (listen !== undefined) {
    for (const key of ['token', 'proxy'] as const)
      attempts.try([name, key], () => assertAbsent(entry[key], `"${key}" is for a tunnel that dials`));
    attempts.try([name, 'allow'], () => assertKnown(listOf(allow), known));
    const source = read(['listen'], listen, 'source', terms);
    return source && { tunnel, source, allow: listOf(allow) };
  }
  attempts.try([name, 'allow'], () => assertAbsent(allow, '"allow" is for a tunnel that listens'));
  attempts.try([name], () => assertNoIdentity(name, known));
  const extra = { ...terms, ...(token !== undefined && { token }), ...(proxy !== undefined && { proxy }) };
  const endpoints = Array.isArray(dial)
    ? dial.map((one, at) => [['dial', at], one] as const)
    : [[['dial'], dial] as const];
  const addresses = endpoints.flatMap(([path, one]) => read(path, one as Endpoint, 'sink', extra) ?? []);
  const isProved = addresses.every(({ transport, parsed }) => isPrivate(transport, parsed));
  return { tunnel, addresses, identity: isProved ? { name } : undefined, isKept: true, takeOver: true };
}

function assertAbsent(value: unknown, message: string): void {
  if (value !== undefined) throw new Error(message);
}

/** The far side of a tunnel that dials goes by the tunnel's name: nobody else may. */
function assertNoIdentity(name: string, known: readonly string[]): void {
  if (known.includes(name))
    throw new Error(
      `"${name}" is the name of an identity, too; the far side of this tunnel goes by it, so call one of them otherwise`,
    );
}

/** Several tunnels of one address are told apart by who comes in, so nobody may fit two of them. */
function shareEntrances(waits: readonly Waits[]): { entrances: EntrancePlan[]; mistakes: Mistake[] } {
  const mistakes: Mistake[] = [];
  const byPlace = Map.groupBy(waits, ({ source }) => source.transport.occupies?.(source.parsed) ?? source.text);
  const entrances = [...byPlace].map(([place, sharing]) => {
    const seen = new Set<string>();
    for (const { tunnel, allow, source } of sharing) {
      const path = ['tunnels', tunnel.name];
      if (source.text !== sharing[0]?.source.text)
        mistakes.push({ path, message: `tunnels that share ${place} must write its address alike` });
      const isForAll = allow.length === 0 || allow.includes(ANYONE);
      const twice = allow.find((name) => seen.has(name));
      if (sharing.length > 1 && (isForAll || twice !== undefined))
        mistakes.push({
          path,
          message: `several tunnels share ${place}, and are told apart by who comes in: ${isForAll ? 'say who, "allow: [NAME]"' : `"${twice}" is allowed in two of them`}`,
        });
      for (const name of allow) seen.add(name);
    }
    return { source: (sharing[0] as Waits).source, waiting: sharing };
  });
  return { entrances, mistakes };
}

/** All tunnels, or all that is wrong with them. */
export function readTunnels(
  entries: Configuration['tunnels'],
  context: TunnelsContext,
): { plans: TunnelPlans; mistakes: readonly Mistake[] } {
  const attempts = new Attempts(['tunnels']);
  const read = Object.entries(entries ?? {}).flatMap(
    ([name, entry]) => readTunnel(name, entry, attempts, context) ?? [],
  );
  const waits = read.filter((one) => 'source' in one);
  const dialing = read.filter((one) => 'addresses' in one);
  const { entrances, mistakes } = shareEntrances(waits);
  return { plans: { dialing, entrances }, mistakes: [...attempts.mistakes, ...mistakes] };
}

/** What belongs to standard input and output is for `sluice tunnel stdio:`, which a far side starts; the rest is the gateway's. */
const isOnStdio = ({ source }: EntrancePlan): boolean => source.scheme === 'stdio';

function split<T extends Pick<Loaded, 'links' | 'tunnels'>>(loaded: T, wantsStdio: boolean): T {
  const { links, tunnels } = loaded;
  const entrances = tunnels.entrances.filter((plan) => isOnStdio(plan) === wantsStdio);
  const dialing = wantsStdio ? [] : tunnels.dialing;
  const names = new Set(tunnelsOf({ dialing, entrances }).map(({ name }) => name));
  const isMeant = (link: Link): boolean => {
    const tunnel = tunnelOf(link.source);
    return tunnel === undefined ? !wantsStdio : names.has(tunnel);
  };
  return { ...loaded, links: links.filter(isMeant), tunnels: { dialing, entrances } };
}

/** What `sluice run` runs. */
export const forGateway = <T extends Pick<Loaded, 'links' | 'tunnels'>>(loaded: T): T => split(loaded, false);
/** What `sluice tunnel stdio:` runs: the tunnels that listen there, and what they offer. */
export const forStdio = <T extends Pick<Loaded, 'links' | 'tunnels'>>(loaded: T): T => split(loaded, true);

/** Places that entrances occupy. */
export const placesOf = ({ entrances }: TunnelPlans): Map<string, string> =>
  new Map(
    entrances.flatMap(({ source, waiting }) => {
      const place = source.transport.occupies?.(source.parsed);
      return place === undefined ? [] : [[place, `tunnel "${waiting[0]?.tunnel.name}"`] as const];
    }),
  );
