/** From a configuration file to links: read, checked as a whole, each mistake with its place; nothing is opened. */
import { dirname } from 'node:path';
import { assertKnown } from '../access.ts';
import { formatParts, parseAddress, type Address } from '../address.ts';
import { SluiceError, reasonOf } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { servesOnce, type Link } from '../link.ts';
import { loadPlugin } from '../loader.ts';
import { OptionError, parseDuration } from '../options.ts';
import { readOwnFile } from '../own-file.ts';
import type { Registry } from '../registry.ts';
import type { Role } from '../../plugins/contract/index.ts';
import { ConfigDocument, type Mistake } from './document.ts';
import { readConfiguration, type Configuration, type Endpoint } from './schema.ts';

type LinkEntry = Configuration['links'][number];

/** A mistake somewhere inside one link; its path is relative to the endpoint. */
class EndpointError extends Error {
  readonly path: readonly PropertyKey[];
  constructor(path: readonly PropertyKey[], message: string) {
    super(message);
    this.path = path;
  }
}

/** `{ exec: […], user: borg }`: exactly one key is a scheme, the others are its options. */
function readLongForm(
  form: Readonly<Record<string, unknown>>,
  role: Role,
  folder: string,
  registry: Registry,
): Address {
  const schemes = Object.keys(form).filter((key) => registry.has(key));
  const [scheme] = schemes;
  if (scheme === undefined)
    throw new EndpointError(
      [],
      `no scheme in ${JSON.stringify(Object.keys(form))}; known: ${registry.schemes().join(', ')}`,
    );
  if (schemes.length > 1) throw new EndpointError([schemes[1] ?? ''], `two schemes: ${schemes.join(' and ')}`);
  const { [scheme]: target, ...extra } = form;
  const words = Array.isArray(target) && target.every((word) => typeof word === 'string') ? target : undefined;
  if (typeof target !== 'string' && words === undefined) {
    throw new EndpointError([scheme], `"${scheme}": expected text or a list of texts, got ${JSON.stringify(target)}`);
  }
  const text = formatParts({ scheme, target: words?.join(' ') ?? String(target), pairs: [] }, registry);
  return parseAddress(text, { registry, role, folder, extra, ...(words && { words }) });
}

function readEndpoint(endpoint: Endpoint, role: Role, folder: string, registry: Registry): Address {
  try {
    if (typeof endpoint !== 'string') return readLongForm(endpoint, role, folder, registry);
    return parseAddress(endpoint, { registry, role, folder });
  } catch (error) {
    if (error instanceof EndpointError) throw error;
    const key =
      SluiceError.is(error) && error.cause instanceof OptionError && typeof endpoint !== 'string'
        ? [error.cause.key]
        : [];
    throw new EndpointError(key, reasonOf(error));
  }
}

const listOf = (allow: LinkEntry['allow']): readonly string[] => (typeof allow === 'string' ? [allow] : (allow ?? []));

/** One link, or the mistakes in it. */
function readLink(entry: LinkEntry, index: number, folder: string, registry: Registry): Link | Mistake[] {
  const mistakes: Mistake[] = [];
  const attempt = <T>(key: string, read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      const inner = error instanceof EndpointError ? error.path : [];
      mistakes.push({ path: ['links', index, key, ...inner], message: reasonOf(error), atKey: inner.length > 0 });
      return undefined;
    }
  };
  const source = attempt('source', () => readEndpoint(entry.source, 'source', folder, registry));
  const sink = attempt('sink', () => readEndpoint(entry.sink, 'sink', folder, registry));
  const allow = listOf(entry.allow);
  attempt('allow', () => assertKnown(allow));
  if (mistakes.length > 0 || source === undefined || sink === undefined) return mistakes;
  const idle = entry.idle === 'off' ? 0 : parseDuration(entry.idle ?? '');
  return {
    name: entry.name,
    source,
    sink,
    allow,
    idleAfterEnd: idle ?? LIMITS.idleAfterEnd,
    once: servesOnce(source, sink),
  };
}

/** Two links with one name, or whose sources occupy the same place. */
function conflicts(links: readonly Link[]): Mistake[] {
  const names = new Map<string, number>();
  const places = new Map<string, number>();
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
        message: `${place} is taken by link "${links[samePlace]?.name}"`,
      });
    }
    names.set(name, index);
    if (place !== undefined) places.set(place, index);
  }
  return mistakes;
}

async function readFile(file: string): Promise<string> {
  try {
    return await readOwnFile(file);
  } catch (error) {
    throw new SluiceError('SLUICE_CONFIG_FILE', `configuration ${file}: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * Reads a configuration file and the plugins that it names.
 *
 * @throws SluiceError SLUICE_CONFIG with every mistake, a line each; SLUICE_CONFIG_FILE; SLUICE_PLUGIN
 */
export async function loadConfiguration(file: string, registry: Registry): Promise<readonly Link[]> {
  const document = new ConfigDocument(file, await readFile(file));
  const { configuration, mistakes } = readConfiguration(document.value);
  if (configuration === undefined) throw document.refuse(mistakes);
  const folder = dirname(file);
  for (const plugin of configuration.plugins ?? []) registry.register(await loadPlugin(plugin, folder));
  const read = configuration.links.map((entry, index) => readLink(entry, index, folder, registry));
  const links = read.filter((one): one is Link => !Array.isArray(one));
  const wrong = [
    ...read.filter((one) => Array.isArray(one)).flat(),
    ...(links.length === read.length ? conflicts(links) : []),
  ];
  if (wrong.length > 0) throw document.refuse(wrong);
  return links;
}
