/** Addresses in a configuration: as text, or in their long form `{ SCHEME: target, option: value }`. */
import { formatParts, parseAddress, type Address, type SessionTerms } from '../address.ts';
import { SluiceError, reasonOf } from '../errors.ts';
import { OptionError } from '../options.ts';
import type { Registry } from '../registry.ts';
import type { Role } from '../../plugins/contract/index.ts';
import type { Mistake } from './document.ts';
import type { Endpoint } from './schema.ts';

/** A mistake somewhere inside one endpoint; its path is relative to the endpoint. */
export class EndpointError extends Error {
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
  session: SessionTerms['session'] | undefined,
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
  return parseAddress(text, { registry, role, folder, extra, ...(words && { words }), ...(session && { session }) });
}

/** What an endpoint is read with besides what it says. */
export interface EndpointOptions {
  /** Options that count instead of those that are written. */
  readonly overrides?: Readonly<Record<string, unknown>>;
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly session?: SessionTerms['session'] | undefined;
}

export function readEndpoint(
  endpoint: Endpoint,
  role: Role,
  folder: string,
  registry: Registry,
  { extra = {}, overrides = {}, session }: EndpointOptions = {},
): Address {
  try {
    if (typeof endpoint !== 'string')
      return readLongForm({ ...endpoint, ...extra, ...overrides }, role, folder, registry, session);
    return parseAddress(endpoint, { registry, role, folder, extra, overrides, ...(session && { session }) });
  } catch (error) {
    if (error instanceof EndpointError) throw error;
    const key =
      SluiceError.is(error) && error.cause instanceof OptionError && typeof endpoint !== 'string'
        ? [error.cause.key]
        : [];
    throw new EndpointError(key, reasonOf(error));
  }
}

/** Collects mistakes: what throws becomes one, at its place, and yields nothing. */
export class Attempts {
  readonly mistakes: Mistake[] = [];
  readonly #at: readonly PropertyKey[];

  /** @param at where in the document all paths begin */
  constructor(at: readonly PropertyKey[]) {
    this.#at = at;
  }

  try<T>(path: readonly PropertyKey[], read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      const inner = error instanceof EndpointError ? error.path : [];
      this.mistakes.push({ path: [...this.#at, ...path, ...inner], message: reasonOf(error), atKey: inner.length > 0 });
      return undefined;
    }
  }
}
