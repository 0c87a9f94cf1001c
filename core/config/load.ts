/** From a configuration file to what it says: read, checked as a whole, each mistake with its place; nothing is opened. */
import { dirname } from 'node:path';
import type { Address } from '../address.ts';
import type { AdmissionLimits } from '../admission/limits.ts';
import { SluiceError, reasonOf } from '../errors.ts';
import type { Link } from '../link.ts';
import { readOwnFile } from '../own-file.ts';
import type { Registry } from '../registry.ts';
import { ConfigDocument, type Mistake } from './document.ts';
import { Attempts, readEndpoint } from './endpoints.ts';
import { readIdentityEntries, type IdentityEntry } from './identities.ts';
import { readLimits } from './limits.ts';
import { readLinks } from './links.ts';
import { readConfiguration, type Configuration } from './schema.ts';
import { assertNoTunnel, assertTunnel } from '../tunnels/tunnel-address.ts';
import type { TunnelPlans } from '../tunnels/plans.ts';
import { placesOf, readTunnels } from './tunnels.ts';

/** What a configuration says. Tokens are only named: `readIdentities` reads them. */
export interface Loaded {
  readonly links: readonly Link[];
  readonly tunnels: TunnelPlans;
  /** Where `rsh` finds a host. */
  readonly hosts: ReadonlyMap<string, Address>;
  readonly identities: ReadonlyMap<string, IdentityEntry>;
  /** How many may come in. */
  readonly limits: AdmissionLimits;
}

async function readFile(file: string): Promise<string> {
  try {
    return await readOwnFile(file);
  } catch (error) {
    throw new SluiceError('SLUICE_CONFIG_FILE', `configuration ${file}: ${reasonOf(error)}`, { cause: error });
  }
}

type Read<T> = { read: Map<string, T>; mistakes: readonly Mistake[] };

/** How the hosts are read for one run of `rsh`: what its command line says counts, and nothing but sessions will do. */
export interface HostOptions {
  readonly host: string;
  readonly overrides: Readonly<Record<string, unknown>>;
  readonly session: 'always';
}

function readHosts(
  hosts: Configuration['hosts'],
  folder: string,
  registry: Registry,
  options?: HostOptions,
): Read<Address> {
  const attempts = new Attempts(['hosts']);
  const read = new Map<string, Address>();
  for (const [name, entry] of Object.entries(hosts ?? {})) {
    const { sink, ...extra } = typeof entry === 'string' ? { sink: entry } : entry;
    const path = typeof entry === 'string' ? [name] : [name, 'sink'];
    const address = attempts.try(path, () => {
      const own = options?.host === name && options;
      return assertNoTunnel(readEndpoint(sink, 'sink', folder, registry, { extra, ...own }));
    });
    if (address !== undefined) read.set(name, address);
  }
  return { read, mistakes: attempts.mistakes };
}

/**
 * Reads a configuration file and the plugins that it names.
 *
 * @throws SluiceError SLUICE_CONFIG with every mistake, a line each; SLUICE_CONFIG_FILE; SLUICE_PLUGIN
 */
export const loadConfiguration = async (file: string, registry: Registry, forHosts?: HostOptions): Promise<Loaded> =>
  loadText(file, await readFile(file), registry, forHosts);

/** The same of a text that is not in its file yet. @throws as above */
export async function loadText(
  file: string,
  text: string,
  registry: Registry,
  forHosts?: HostOptions,
): Promise<Loaded> {
  const document = new ConfigDocument(file, text);
  const { configuration, mistakes } = readConfiguration(document.value);
  if (configuration === undefined) throw document.refuse(mistakes);
  const folder = dirname(file);
  const { plugins = [] } = configuration;
  if (plugins.length > 0) await (await import('../loader.ts')).addPlugins(plugins, folder, registry);
  const identities = readIdentityEntries(configuration.identities, folder);
  const hosts = readHosts(configuration.hosts, folder, registry, forHosts);
  const identified = Object.keys(configuration.identities ?? {});
  const names = Object.keys(configuration.tunnels ?? {});
  const assertKnownTunnel = (address: Address): void => assertTunnel(address, names);
  const tunnels = readTunnels(configuration.tunnels, { folder, registry, known: identified, assertKnownTunnel });
  const links = readLinks(configuration.links ?? [], {
    folder,
    registry,
    known: [...identified, ...tunnels.plans.dialing.flatMap(({ identity }) => identity?.name ?? [])],
    assertKnownTunnel,
    taken: placesOf(tunnels.plans),
  });
  const wrong = [...identities.mistakes, ...hosts.mistakes, ...tunnels.mistakes, ...links.mistakes];
  if (wrong.length > 0) throw document.refuse(wrong);
  return {
    links: links.links,
    tunnels: tunnels.plans,
    hosts: hosts.read,
    identities: identities.read,
    limits: readLimits(configuration.limits),
  };
}
