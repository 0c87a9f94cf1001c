/**
 * Addresses: `scheme:target?key=value&key=value`.
 *
 * - The scheme ends at the first colon, and decides how the rest is read.
 * - A literal scheme (`exec:`) takes all that follows as it stands: no `?`, no decoding.
 * - Elsewhere the first `?` starts our options. Target and values are percent-decoded once; `+` is a plus.
 *   `%25` is a percent sign, `%3F` a question mark in a target, `%26` an ampersand in a value.
 * - A key stands once, unless its option is a list.
 *
 * `formatParts(splitAddress(text))` is `text` again for every text that formatParts makes, and
 * `splitAddress(formatParts(parts))` is `parts` for all parts: a test holds both.
 */
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { withoutSecrets, withoutSecretsOf } from './address-secrets.ts';
import { SluiceError, reasonOf } from './errors.ts';
import { LIMITS } from './limits.ts';
import { OptionError, readOptions } from './options.ts';
import { fillIn, isPersonal } from './personal.ts';
import type { Registry } from './registry.ts';
import { parseTokenReference, type TokenReference } from './token.ts';
import type { OptionSpecs, Role, Transport } from '../plugins/contract/index.ts';

/** An address in its parts, decoded. `pairs` keeps order and repetition. */
export interface Parts {
  readonly scheme: string;
  readonly target: string;
  readonly pairs: readonly (readonly [key: string, value: string])[];
}

/** Options that every address takes, whatever its transport: they are the core's. */
export const COMMON_OPTIONS = {
  session: {
    type: 'boolean',
    help: 'yes: nothing but sessions; no: plain bytes only; where it is not given they are spoken where both ends can agree on them',
  },
  resume: {
    type: 'duration',
    help: 'time that a session lives without a connection (default 2m; unix and stdio: off); off: never resume',
  },
  heartbeat: {
    type: 'duration',
    default: LIMITS.heartbeat,
    help: 'silence after which the far end of a session is asked for a sign of life; after three times as long it is dead',
  },
  token: {
    type: 'string',
    role: 'sink',
    help: 'where the token is that shows who we are: file:PATH, env:NAME or credential:NAME',
  },
} as const satisfies OptionSpecs;

/** How a session runs at an address. */
export interface SessionTerms {
  /** `always`: nothing else is spoken; `offered`: where both ends can agree on it; `never`. */
  readonly session: 'always' | 'offered' | 'never';
  /** ms that it lives without a carrier; 0: not at all. */
  readonly detachedLife: number;
  /** ms of silence until the far end is asked. */
  readonly heartbeat: number;
}

/** An address that its transport has read: ready to listen or dial. */
export interface Address extends SessionTerms {
  readonly scheme: string;
  readonly transport: Transport;
  readonly role: Role;
  /** Where the token is that a dial shows. */
  readonly token: TokenReference | undefined;
  /** Where further secrets are that a dial needs. */
  readonly secrets: readonly TokenReference[];
  /** What the transport's `parse` made of it. */
  readonly parsed: unknown;
  /** The address for one identity, where it holds `{identity}`. */
  readonly forIdentity?: (name: string) => Address;
  /** As the user wrote it, but for the values of options that are secret. */
  readonly text: string;
}

/** @param more what is known beyond the text: how the address is shown, and the values of options that are secret */
function refuse(
  written: string,
  why: string,
  cause?: unknown,
  { shown = written, secrets = [] }: { shown?: string; secrets?: readonly unknown[] } = {},
): SluiceError {
  const reason = withoutSecretsOf(written, secrets, why);
  return new SluiceError('SLUICE_ADDRESS', `address ${JSON.stringify(withoutSecrets(shown))}: ${reason}`, { cause });
}

function decode(text: string, whole: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw refuse(whole, `"${text}" is not percent-encoded UTF-8; write a percent sign as %25`, cause);
  }
}

export function splitScheme(text: string): { scheme: string; rest: string } {
  const match = /^([a-z][a-z0-9+.-]*):(.*)$/s.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw refuse(text, 'expected SCHEME:…, for example unix:/run/x.sock or wss://host:443/path');
  }
  return { scheme: match[1], rest: match[2] };
}

const isHierarchical = (transport: Transport): boolean => transport.grammar.includes('://');

/** @throws SluiceError SLUICE_ADDRESS */
export function splitAddress(text: string, registry: Registry): Parts {
  const { scheme, rest } = splitScheme(text);
  const transport = registry.get(scheme);
  if (text.includes('\0')) throw refuse(text, 'it holds a NUL character');
  if (transport.literal) return { scheme, target: rest, pairs: [] };
  const at = rest.indexOf('?');
  const head = at < 0 ? rest : rest.slice(0, at);
  const hierarchical = isHierarchical(transport);
  if (hierarchical && !head.startsWith('//')) throw refuse(text, `expected ${transport.grammar}`);
  const target = decode(hierarchical ? head.slice(2) : head, text);
  const pairs = at < 0 ? [] : splitPairs(rest.slice(at + 1), text);
  if (target.includes('\0')) throw refuse(text, 'it holds a NUL character');
  return { scheme, target, pairs };
}

function splitPairs(query: string, whole: string): [string, string][] {
  return query.split('&').map((pair) => {
    const at = pair.indexOf('=');
    if (at < 1) throw refuse(whole, `expected KEY=VALUE after "?", got ${JSON.stringify(pair)}`);
    return [decode(pair.slice(0, at), whole), decode(pair.slice(at + 1), whole)];
  });
}

/** Encodes no more than must be, so that an address stays readable. */
const encode = (text: string, reserved: RegExp): string => text.replace(reserved, encodeURIComponent);

export function formatParts({ scheme, target, pairs }: Parts, registry: Registry): string {
  const transport = registry.get(scheme);
  if (transport.literal) return `${scheme}:${target}`;
  const slashes = isHierarchical(transport) ? '//' : '';
  const query = pairs.map(([key, value]) => `${encode(key, /[%&=#\s]/g)}=${encode(value, /[%&#\s]/g)}`);
  return `${scheme}:${slashes}${encode(target, /[%?#\s]/g)}${query.length > 0 ? '?' : ''}${query.join('&')}`;
}

function isSecret([key, value]: Parts['pairs'][number], { options }: Transport): boolean {
  const secret = Object.hasOwn(options, key) ? options[key]?.secret : undefined;
  return secret === 'user-info' ? value.includes('@') : secret === true;
}

/** What was given beside the text and is secret. */
const secretValues = ({ extra, overrides }: AddressContext, { options }: Transport): unknown[] =>
  [extra, overrides].flatMap((given) =>
    Object.entries(given ?? {}).flatMap(([key, value]) =>
      Object.hasOwn(options, key) && options[key]?.secret === true ? [value] : [],
    ),
  );

/** The text of an address for logs and messages. */
function showAddress(parts: Parts, text: string, registry: Registry): string {
  const transport = registry.get(parts.scheme);
  if (!parts.pairs.some((pair) => isSecret(pair, transport))) return text;
  const pairs = parts.pairs.map((pair) => (isSecret(pair, transport) ? ([pair[0], '***'] as const) : pair));
  return formatParts({ ...parts, pairs }, registry);
}

/** Makes paths absolute: `~/` is this user's home; anything else is relative to `folder`. `~name` is not expanded. */
export const pathResolver =
  (folder: string) =>
  (path: string): string =>
    path === '~' || path.startsWith('~/') ? resolve(homedir(), `.${path.slice(1)}`) : resolve(folder, path);

/** Repeated keys become a list where the option is one, and are refused elsewhere. */
function collect(parts: Parts, transport: Transport, whole: string): Record<string, unknown> {
  const given: Record<string, string | string[]> = {};
  for (const [key, value] of parts.pairs) {
    const spec = Object.hasOwn(transport.options, key) ? transport.options[key] : undefined;
    const earlier = Object.hasOwn(given, key) ? given[key] : undefined;
    if (spec?.type === 'list' || spec?.type === 'map') given[key] = [...(Array.isArray(earlier) ? earlier : []), value];
    else if (earlier !== undefined) throw refuse(whole, `option "${key}" is given twice`);
    else given[key] = value;
  }
  return given;
}

export interface AddressContext {
  readonly registry: Registry;
  readonly role: Role;
  /** What a relative path is relative to: the working directory, or the configuration's folder. */
  readonly folder: string;
  /** Options that come from flags or from the long form rather than from the address. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Options that count instead of those that are written. */
  readonly overrides?: Readonly<Record<string, unknown>>;
  readonly words?: readonly string[];
  /** Whether a session is spoken, where the address does not say it. */
  readonly session?: SessionTerms['session'];
}

const fillContext = ({ extra, overrides, words, ...others }: AddressContext, name: string): AddressContext => ({
  ...others,
  ...(extra && { extra: fillIn(extra, name) }),
  ...(overrides && { overrides: fillIn(overrides, name) }),
  ...(words && { words: fillIn(words, name) }),
});

/** Reads an address for one role. @throws SluiceError SLUICE_ADDRESS, whose cause is an OptionError where one key is at fault. */
export function parseAddress(written: string, context: AddressContext): Address {
  const parts = splitAddress(written, context.registry);
  const text = showAddress(parts, written, context.registry);
  const transport = context.registry.get(parts.scheme);
  assertRole(transport, context.role, text);
  const resolvePath = pathResolver(context.folder);
  try {
    const given = { ...collect(parts, transport, text) };
    for (const [key, value] of Object.entries(context.extra ?? {})) {
      if (Object.hasOwn(given, key)) throw new OptionError(key, `option "${key}" is given twice`);
      Object.assign(given, { [key]: value });
    }
    Object.assign(given, context.overrides);
    const isOwn = isPersonal(parts.target, given, transport, context.role);
    const specs = { ...COMMON_OPTIONS, ...transport.options };
    const { session, resume, heartbeat, token, ...options } = readOptions(
      specs,
      given,
      context.role,
      resolvePath,
      (key) => context.registry.schemesWith(key),
    );
    const { words, role } = context;
    const secrets = secretsOf(transport, options);
    const input = { target: parts.target, scheme: parts.scheme, options: options as never, role, resolvePath };
    const parsed = transport.parse(words === undefined ? input : { ...input, words });
    const terms = sessionTerms(transport, { session, resume, heartbeat } as GivenTerms, context.session);
    return {
      scheme: parts.scheme,
      transport,
      role,
      parsed,
      text,
      ...terms,
      secrets,
      token: tokenOf(token, transport, parsed, resolvePath),
      ...(isOwn && { forIdentity: (name) => parseAddress(fillIn(written, name), fillContext(context, name)) }),
    };
  } catch (error) {
    if (SluiceError.is(error)) throw error;
    const usage = error instanceof OptionError ? '' : ` (${transport.grammar})`;
    const secrets = secretValues(context, transport);
    throw refuse(written, `${reasonOf(error)}${usage}`, error, { shown: text, secrets });
  }
}

/** ms: what a timer of Node's can wait, and what is as good as never. */
const LONGEST = 2 ** 31 - 1;
const NEVER = 24 * 3_600_000;

interface GivenTerms {
  readonly session: boolean | undefined;
  readonly resume: number | undefined;
  readonly heartbeat: number;
}

function sessionTerms(transport: Transport, given: GivenTerms, otherwise?: SessionTerms['session']): SessionTerms {
  const { session, resume, heartbeat } = given;
  const usually = otherwise ?? (transport.negotiates ? 'offered' : 'never');
  const chosen = session === undefined ? usually : session ? 'always' : 'never';
  const usual = transport.diesWithPeer ? 0 : LIMITS.detachedLife;
  return { session: chosen, detachedLife: Math.min(resume ?? usual, LONGEST), heartbeat: heartbeat || NEVER };
}

/** The values of options of type `reference`, which the reader of options has made. */
const secretsOf = (transport: Transport, options: Readonly<Record<string, unknown>>): TokenReference[] =>
  Object.entries(transport.options).flatMap(([key, { type }]) => {
    const text = type === 'reference' ? options[key] : undefined;
    return typeof text === 'string' ? [parseTokenReference(text, String)] : [];
  });

/** @throws Error for a token that others could read on its way */
function tokenOf(
  given: unknown,
  transport: Transport,
  parsed: unknown,
  resolvePath: (path: string) => string,
): TokenReference | undefined {
  if (typeof given !== 'string') return undefined;
  const reference = parseTokenReference(given, resolvePath);
  if (isPrivate(transport, parsed)) return reference;
  throw new OptionError('token', 'a token would be sent unencrypted; use tls or wss, or a loopback address');
}

/** Nobody else can read what is sent there. */
export const isPrivate = (transport: Transport, parsed: unknown): boolean =>
  transport.encrypts === true || transport.reach?.(parsed) === 'local';

/** What a dial goes through, as a proxy. */
export const viaOf = ({ transport, parsed }: Address): string | undefined => transport.via?.(parsed);

function assertRole(transport: Transport, role: Role, text: string): void {
  if (role === 'source' && transport.listen === undefined) {
    throw refuse(text, `"${transport.name}" can only be a sink; put it second`);
  }
  if (role === 'sink' && transport.dial === undefined) {
    throw refuse(text, `"${transport.name}" can only be a source; put it first`);
  }
}
