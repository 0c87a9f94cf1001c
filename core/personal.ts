/**
 * `{identity}` in a sink: one link serves a fleet, each to a place of its own. It stands for the configuration's name of
 * who has connected (never for text of a certificate), inside one argument or path and never at its start, so that no name
 * can become an option or an absolute path. Other braces (`{now}`) are left alone. Pure.
 */
import { NAME } from './names.ts';
import { OptionError } from './options.ts';
import type { Role, Transport } from '../plugins/contract/index.ts';

const PLACEHOLDER = '{identity}';

/** Texts in what an option or a target was given as. */
function* textsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) yield* textsIn(inner);
}

const holds = (value: unknown): boolean => [...textsIn(value)].some((text) => text.includes(PLACEHOLDER));

/** @throws Error where it has no place */
function assertPlace(key: string, value: unknown, { name, personal = [], literal }: Transport): void {
  if (!personal.includes(key)) {
    const places = personal.length > 0 ? `only in ${personal.join(', ')}` : 'nowhere in such an address';
    throw new OptionError(key, `${PLACEHOLDER} may not stand in the ${key} of ${name}; ${places}`);
  }
  const isSplitLater = key === 'target' && literal === true; // its words are looked at by the transport
  if (!isSplitLater && [...textsIn(value)].some((text) => text.startsWith(PLACEHOLDER)))
    throw new OptionError(
      key,
      `${PLACEHOLDER} may not stand at the start of the ${key}; write ./${PLACEHOLDER} for a relative path`,
    );
}

/** Whether a part of the address is somebody's own. @throws Error where {identity} has no place */
export function isPersonal(
  target: string,
  options: Readonly<Record<string, unknown>>,
  transport: Transport,
  role: Role,
): boolean {
  const found = Object.entries({ ...options, target }).filter(([, value]) => holds(value));
  if (found.length > 0 && role === 'source')
    throw new OptionError(found[0]?.[0] ?? '', `${PLACEHOLDER} is for sinks: nobody has connected to a source yet`);
  for (const [key, value] of found) assertPlace(key, value, transport);
  return found.length > 0;
}

/** The same with a name in place of `{identity}`. @throws Error for what is no name of a configuration */
export function fillIn<T>(value: T, name: string): T {
  if (!NAME.test(name)) throw new Error(`${JSON.stringify(name)} is no name of an identity`);
  const fill = (inner: unknown): unknown => {
    if (typeof inner === 'string') return inner.replaceAll(PLACEHOLDER, name);
    if (Array.isArray(inner)) return inner.map(fill);
    if (typeof inner !== 'object' || inner === null) return inner;
    return Object.fromEntries(Object.entries(inner).map(([key, one]) => [key, fill(one)]));
  };
  return fill(value) as T;
}
