/** What a plugin exports, checked member by member before anything of it is used. Pure. */
import { didYouMean } from './nearest.ts';
import { CONTRACT, type Layer, type OptionSpec, type Transport } from '../plugins/contract/index.ts';

type Members = Readonly<Record<string, unknown>>;

const TRANSPORT = {
  name: 'string',
  schemes: 'array',
  grammar: 'string',
  summary: 'string',
  options: 'object',
  capabilities: 'array',
  parse: 'function',
};
const LAYER = {
  name: 'string',
  summary: 'string',
  options: 'object',
  keeps: 'array',
  adds: 'array',
  parse: 'function',
  wrap: 'function',
};
const OPTIONAL_METHODS = [
  'listen',
  'dial',
  'adopt',
  'occupies',
  'reach',
  'caution',
  'dialTimeout',
  'account',
  'via',
  'inspect',
];

const CAPABILITIES = ['half-close', 'proves-end', 'tells-cut', 'diagnostics', 'exit-status', 'hand-off'];
const OPTION_TYPES = ['string', 'choice', 'boolean', 'integer', 'path', 'duration', 'reference', 'list', 'map'];

const kindOf = (value: unknown): string => (Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value);

function assertKinds(members: Members, kinds: Readonly<Record<string, string>>): void {
  for (const [name, kind] of Object.entries(kinds)) {
    if (kindOf(members[name]) !== kind)
      throw new Error(`its "${name}" must be of type ${kind}, and is ${kindOf(members[name])}`);
  }
}

function assertContract({ contract }: Members): void {
  if (contract === CONTRACT) return;
  if (contract === undefined)
    throw new Error(`it does not say which contract it was written for; add "contract: ${CONTRACT}" to it`);
  const newer = Number(contract) > CONTRACT ? 'a newer Sluice' : 'a newer version of the plugin';
  throw new Error(
    `its "contract" is ${JSON.stringify(contract)}, and this Sluice has contract ${CONTRACT}; get ${newer}`,
  );
}

function assertNames(member: string, value: unknown, pattern: RegExp, expected: string): void {
  const wrong = [value].flat().find((one) => typeof one !== 'string' || !pattern.test(one));
  if (wrong !== undefined) throw new Error(`its "${member}": expected ${expected}, got ${JSON.stringify(wrong)}`);
}

function assertCapabilities(member: string, value: unknown, known: readonly string[]): void {
  const wrong = (value as readonly unknown[]).find((one) => !known.includes(one as string));
  if (wrong === undefined) return;
  const hint = didYouMean(JSON.stringify(wrong), known) || `; known: ${known.join(', ')}`;
  throw new Error(`its "${member}": there is no capability ${JSON.stringify(wrong)}${hint}`);
}

function assertOptions(options: unknown): void {
  for (const [name, spec] of Object.entries(options as Readonly<Record<string, Partial<OptionSpec> | undefined>>)) {
    if (!OPTION_TYPES.includes(spec?.type ?? ''))
      throw new Error(`its option "${name}" must have a "type": ${OPTION_TYPES.join(', ')}`);
    if (typeof spec?.help !== 'string') throw new Error(`its option "${name}" must have a "help", a sentence`);
    if (spec.type === 'choice' && !Array.isArray(spec.values))
      throw new Error(`its option "${name}" is a choice and must have "values"`);
  }
}

function assertTransport(members: Members): void {
  assertKinds(members, TRANSPORT);
  const methods = OPTIONAL_METHODS.filter((name) => members[name] !== undefined);
  assertKinds(members, Object.fromEntries(methods.map((name) => [name, 'function'])));
  if (members['listen'] === undefined && members['dial'] === undefined)
    throw new Error('it has neither "listen" nor "dial"; it needs one of them');
  if ((members['schemes'] as readonly unknown[]).length === 0) throw new Error('its "schemes" must name one at least');
  assertNames('schemes', members['schemes'], /^[a-z][a-z0-9+.-]*$/, 'a-z, 0-9, "+", "." and "-", a letter first');
  assertCapabilities('capabilities', members['capabilities'], CAPABILITIES);
}

function assertLayer(members: Members): void {
  assertKinds(members, LAYER);
  assertNames('name', members['name'], /^[a-z][a-z0-9-]*$/, 'a-z, 0-9 and "-", a letter first');
  for (const member of ['keeps', 'adds']) assertCapabilities(member, members[member], CAPABILITIES.slice(0, 3));
}

export interface Exported {
  readonly transports: readonly Transport[];
  readonly layers: readonly Layer[];
}

/** An empty object is what a module without a default export comes as. */
const isDefined = (value: unknown): boolean => kindOf(value) === 'object' && Object.keys(value as Members).length > 0;

/** @throws Error naming the member that is missing or malformed */
export function readExports(value: unknown): Exported {
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (all.length === 0 || !all.every(isDefined))
    throw new Error('it has no default export made by defineTransport({ … }) or defineLayer({ … }), or a list of such');
  const transports: Transport[] = [];
  const layers: Layer[] = [];
  for (const members of all as readonly Members[]) {
    assertContract(members);
    if (members['wrap'] === undefined) assertTransport(members);
    else assertLayer(members);
    assertOptions(members['options']);
    if (members['wrap'] === undefined) transports.push(members as unknown as Transport);
    else layers.push(members as unknown as Layer);
  }
  return { transports, layers };
}
