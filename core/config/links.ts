/** The `links` of a configuration: each read by itself, then compared with the others. Nothing is opened. */
import { assertKnown } from '../access.ts';
import type { Address } from '../address.ts';
import { servesOnce, type Link } from '../link.ts';
import { parseDuration } from '../options.ts';
import type { Registry } from '../registry.ts';
import type { Mistake } from './document.ts';
import { Attempts, readEndpoint } from './endpoints.ts';
import type { Configuration, Endpoint } from './schema.ts';
import type { Role } from '../../plugins/contract/index.ts';

type LinkEntry = NonNullable<Configuration['links']>[number];

export const listOf = (allow: LinkEntry['allow']): readonly string[] =>
  typeof allow === 'string' ? [allow] : (allow ?? []);

/** What the links of one file are read with. */
export interface LinksContext {
  readonly folder: string;
  readonly registry: Registry;
  /** Names of `identities`. */
  readonly known: readonly string[];
  /** Looks at an address that was read. @throws Error for what the rest of the configuration does not allow */
  readonly assertKnownTunnel: (address: Address) => void;
  /** Places that are taken, and by what. */
  readonly taken: ReadonlyMap<string, string>;
}

/** One link, or the mistakes in it. */
function readLink(
  entry: LinkEntry,
  index: number,
  { folder, registry, known, assertKnownTunnel }: LinksContext,
): Link | Mistake[] {
  const attempts = new Attempts(['links', index]);
  const read = (path: readonly PropertyKey[], endpoint: Endpoint, role: Role): Address | undefined =>
    attempts.try(path, () => {
      const address = readEndpoint(endpoint, role, folder, registry);
      assertKnownTunnel(address);
      return address;
    });
  const source = read(['source'], entry.source, 'source');
  const sink = read(['sink'], entry.sink, 'sink');
  const services = new Map<string, Address>();
  for (const [name, endpoint] of Object.entries(entry.services ?? {})) {
    const address = read(['services', name], endpoint, 'sink');
    if (address !== undefined) services.set(name, address);
  }
  const allow = listOf(entry.allow);
  attempts.try(['allow'], () => assertKnown(allow, known));
  if (attempts.mistakes.length > 0 || source === undefined || sink === undefined) return attempts.mistakes;
  return {
    name: entry.name,
    source,
    sink,
    services,
    allow,
    idleAfterEnd: entry.idle === 'off' ? 0 : parseDuration(entry.idle ?? ''),
    once: servesOnce(source, sink),
  };
}

/** Two links with one name, or whose sources occupy the same place. */
function conflicts(links: readonly Link[], taken: ReadonlyMap<string, string>): Mistake[] {
  const names = new Map<string, number>();
  const places = new Map(taken);
  const mistakes: Mistake[] = [];
  for (const [index, { name, source }] of links.entries()) {
    const place = source.transport.occupies?.(source.parsed);
    const sameName = names.get(name);
    const samePlace = place === undefined ? undefined : places.get(place);
    if (sameName !== undefined)
      mistakes.push({ path: ['links', index, 'name'], message: `the name "${name}" is that of another link` });
    if (samePlace !== undefined) {
      mistakes.push({
        path: ['links', index, 'source'],
        message: `${place} is taken by ${samePlace}`,
      });
    }
    names.set(name, index);
    if (place !== undefined) places.set(place, `link "${name}"`);
  }
  return mistakes;
}

/** All links, or all that is wrong with them. */
export function readLinks(
  entries: readonly LinkEntry[],
  context: LinksContext,
): { links: Link[]; mistakes: Mistake[] } {
  const read = entries.map((entry, index) => readLink(entry, index, context));
  const links = read.filter((one): one is Link => !Array.isArray(one));
  const mistakes = read.filter((one) => Array.isArray(one)).flat();
  return { links, mistakes: mistakes.length > 0 ? mistakes : conflicts(links, context.taken) };
}
