/** Checks option values against the specs of their transport. Pure. */
import { reasonOf } from './errors.ts';
import { didYouMean } from './nearest.ts';
import { parseTokenReference, showReference } from './token.ts';
import type { OptionSpec, OptionSpecs, Role } from '../plugins/contract/index.ts';

/** A mistake in one option; `key` lets a configuration point at its line. */
export class OptionError extends Error {
  readonly key: string;
  constructor(key: string, message: string) {
    super(message);
    this.key = key;
  }
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `20s` in milliseconds; `undefined` if the text is no duration. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const unit = UNITS[match?.[2] ?? ''];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}

const quote = (value: unknown): string => JSON.stringify(value) ?? String(value);

function readInteger(key: string, value: unknown, { min, max }: OptionSpec): number {
  const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) {
    throw new OptionError(key, `option "${key}": expected a whole number, got ${quote(value)}`);
  }
  if ((min !== undefined && number < min) || (max !== undefined && number > max)) {
    throw new OptionError(key, `option "${key}": expected ${min ?? '…'} to ${max ?? '…'}, got ${number}`);
  }
  return number;
}

function readBoolean(key: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  if (value === 'yes' || value === 'true' || value === '') return true;
  if (value === 'no' || value === 'false') return false;
  throw new OptionError(key, `option "${key}": expected yes or no, got ${quote(value)}`);
}

function readString(key: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw new OptionError(key, `option "${key}": expected text, got ${quote(value)}; put it in quotes`);
}

function readList(key: string, value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map((item) => readString(key, item)) : [readString(key, value)];
}

function readMap(key: string, value: unknown): Readonly<Record<string, string>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, text]) => [name, readString(key, text)]));
  }
  return Object.fromEntries(
    readList(key, value).map((item) => {
      const at = item.indexOf('=');
      if (at < 1) throw new OptionError(key, `option "${key}": expected NAME=VALUE, got ${quote(item)}`);
      return [item.slice(0, at), item.slice(at + 1)];
    }),
  );
}

function readDuration(key: string, value: unknown): number {
  if (value === 'off') return 0;
  const milliseconds = typeof value === 'string' ? parseDuration(value) : undefined;
  if (milliseconds === undefined) {
    throw new OptionError(key, `option "${key}": expected a duration such as 20s or 5m, or "off", got ${quote(value)}`);
  }
  return milliseconds;
}

function readChoice(key: string, value: unknown, { values = [] }: OptionSpec): string {
  const text = readString(key, value);
  if (values.includes(text)) return text;
  throw new OptionError(key, `option "${key}": expected ${values.join(' or ')}, got ${quote(value)}`);
}

function readReference(key: string, value: unknown, _spec: OptionSpec, resolvePath: (path: string) => string): string {
  try {
    return showReference(parseTokenReference(readString(key, value), resolvePath, 'secret'));
  } catch (error) {
    throw new OptionError(key, `option "${key}": ${reasonOf(error)}`);
  }
}

type Read = (key: string, value: unknown, spec: OptionSpec, resolvePath: (path: string) => string) => unknown;

const READERS: Readonly<Record<OptionSpec['type'], Read>> = {
  string: readString,
  choice: readChoice,
  boolean: readBoolean,
  integer: readInteger,
  path: (key, value, _spec, resolvePath) => resolvePath(readString(key, value)),
  duration: readDuration,
  reference: readReference,
  list: readList,
  map: readMap,
};

const EMPTY = { list: [], map: {} } as const;

/**
 * The options of one address: every key known and meant for this role, every value of its type, defaults filled in.
 *
 * @param elsewhere the schemes that have an option which this one has not
 */
export function readOptions(
  specs: OptionSpecs,
  given: Readonly<Record<string, unknown>>,
  role: Role,
  resolvePath: (path: string) => string,
  elsewhere: (key: string) => readonly string[] = () => [],
): Record<string, unknown> {
  for (const key of Object.keys(given)) {
    const spec = Object.hasOwn(specs, key) ? specs[key] : undefined;
    if (spec === undefined) {
      const known = Object.keys(specs).toSorted();
      const list = known.length > 0 ? ` (known: ${known.join(', ')})` : ' (it has none)';
      const others = elsewhere(key);
      const hint = others.length > 0 ? `; it belongs to ${others.join(' and ')}` : didYouMean(key, known) || list;
      throw new OptionError(key, `unknown option "${key}"${hint}`);
    }
    if (spec.role !== undefined && spec.role !== role) {
      throw new OptionError(key, `option "${key}" belongs to a ${spec.role}, and this is a ${role}`);
    }
  }
  const values: Record<string, unknown> = {};
  for (const [key, spec] of Object.entries(specs)) {
    const empty = spec.type === 'list' || spec.type === 'map' ? EMPTY[spec.type] : undefined;
    values[key] = Object.hasOwn(given, key)
      ? READERS[spec.type](key, given[key], spec, resolvePath)
      : (spec.default ?? empty);
  }
  return values;
}
