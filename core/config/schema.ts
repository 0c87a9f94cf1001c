/**
 * The shape of a configuration: the only import of zod. The same schema checks a file and is published as JSON Schema
 * for editors; what stands in an address's long form comes from the transports' own option tables.
 */
import { z } from 'zod';
import { COMMON_OPTIONS } from '../address.ts';
import { NAME, SERVICE } from '../names.ts';
import { didYouMean } from '../nearest.ts';
import { parseDuration } from '../options.ts';
import type { Registry } from '../registry.ts';
import type { OptionSpec, OptionSpecs, Role, Transport } from '../../plugins/contract/index.ts';
import type { Mistake } from './document.ts';

const duration = z
  .string('expected a duration such as 20s or 5m, or "off"')
  .refine(
    (text) => text === 'off' || parseDuration(text) !== undefined,
    'expected a duration such as 20s or 5m, or "off"',
  )
  .describe('a duration such as 500ms, 20s, 5m or 1h, or "off"');

const endpoint = (role: Role) =>
  z
    .union(
      [z.string(), z.record(z.string(), z.unknown())],
      'expected an address, or a map with a scheme and its options',
    )
    .meta({ role, description: `the ${role}: an address, or its long form { SCHEME: target, option: value, … }` });

const EXPECTED_NAME = 'expected a name of a-z, 0-9, ".", "_" and "-", 63 at most, a letter or digit first';

const allow = z.union(
  [z.literal('anyone'), z.array(z.string()).min(1, 'expected at least one name')],
  'expected "anyone" or a list of names',
);

const link = z.strictObject({
  name: z.string().regex(NAME, EXPECTED_NAME).describe('stands in every log line of the link'),
  source: endpoint('source'),
  sink: endpoint('sink'),
  services: z
    .record(z.string().regex(SERVICE, 'expected a service name of letters, digits, ".", "_" and "-"'), endpoint('sink'))
    .optional()
    .describe('sinks of further services (subsystems, as "sftp"), by name'),
  allow: allow.optional().describe('who may use a source that a network can reach'),
  idle: duration.optional().describe('longest silence after one direction has ended; 60s by default'),
});

const token = z
  .string('expected file:PATH, env:NAME or credential:NAME')
  .describe('where the token is: file:PATH, env:NAME or credential:NAME');

const PIN = /^sha256\/[A-Za-z0-9+/]{43}=$/;

const oneOrMore = (text: z.ZodString) => z.union([text, z.array(text).min(1, 'expected at least one')]);

const number = (what: string) =>
  z
    .int(`expected the number of a ${what}`)
    .min(0, `expected the number of a ${what}`)
    .max(2 ** 32 - 2);

const atLeastOne = z.int('expected a whole number').min(1, 'expected at least 1');

const limits = z
  .strictObject({
    connections: atLeastOne.optional().describe('connections at once; by default 10000, or what descriptors allow'),
    'connections-per-identity': atLeastOne.optional().describe('256 by default'),
    'rate-per-identity': atLeastOne.optional().describe('new connections of one identity a second; 200 by default'),
    'streams-per-session': atLeastOne.optional().describe('256 by default'),
    commands: atLeastOne.optional().describe('commands that run at once; 256 by default'),
    'commands-per-identity': atLeastOne.optional().describe('8 by default'),
    'commands-waiting': z
      .int('expected a whole number')
      .min(0, 'expected 0 or more')
      .optional()
      .describe('commands that wait until others have ended, 8 s at most; 64 by default'),
    arriving: atLeastOne
      .optional()
      .describe('connections at one source that have not yet proved who they are; 200 by default'),
    'arriving-per-source': atLeastOne.optional().describe('of one IPv4 /24 or IPv6 /64; 10 by default'),
    handshakes: atLeastOne.optional().describe('TLS handshakes a second; 200 by default'),
    'handshakes-per-source': atLeastOne.optional().describe('of one IPv4 /24 or IPv6 /64; 20 by default'),
    loopback: z
      .union([z.boolean(), z.enum(['yes', 'no'])], 'expected yes or no')
      .optional()
      .describe('whether what is counted by source is counted for this machine, too; no by default'),
  })
  .describe('how many may come in, and how fast');

const ownLimits = limits
  .pick({
    'connections-per-identity': true,
    'rate-per-identity': true,
    'streams-per-session': true,
    'commands-per-identity': true,
  })
  .describe('what of the limits of all identities is another for this one');

const identity = z
  .strictObject({
    token: token.optional(),
    pin: oneOrMore(z.string().regex(PIN, 'expected sha256/ and 44 characters of base64'))
      .optional()
      .describe('sha256/BASE64 of the public key (SPKI) of its certificate'),
    san: oneOrMore(z.string().regex(/^[A-Za-z0-9.-]{1,253}$/, 'expected a DNS name, as a certificate has it'))
      .optional()
      .describe('DNS name in its certificate, which an authority of the source has signed'),
    spiffe: oneOrMore(z.string().regex(/^spiffe:\/\/[\w.-]+(\/[\w.-]+)*$/, 'expected spiffe://DOMAIN/PATH'))
      .optional()
      .describe('SPIFFE URI in its certificate, which an authority of the source has signed'),
    uid: number('user').optional().describe('user at the other end of a UNIX socket'),
    gid: number('group').optional().describe('primary group at the other end of a UNIX socket'),
    limits: ownLimits.optional(),
    revoked: z.string().optional().describe('it was taken away: nobody can be it any more'),
  })
  .refine(
    (entry) => Object.keys(entry).some((key) => key !== 'limits'),
    'expected what it proves itself by, as token, pin, san, spiffe, uid or gid',
  );

const host = z.union(
  [
    z.string(),
    z.strictObject({
      sink: endpoint('sink'),
      token: token.optional(),
      resume: duration.optional().describe('time that a lost connection is redialed; "off" for not at all'),
    }),
  ],
  'expected an address, or a map with "sink" and perhaps "token"',
);

const tunnel = z
  .strictObject({
    dial: z
      .union([endpoint('sink'), z.array(endpoint('sink')).min(1, 'expected at least one address')])
      .optional()
      .describe('where the far side is: one address, or several, the best first'),
    listen: endpoint('source').optional().describe('where the far side comes in; several tunnels may share an address'),
    allow: allow.optional().describe('who the far side may be, where this side listens'),
    token: token.optional(),
    proxy: z.string().optional().describe('the proxy that "dial" goes through, as the option of an address'),
    wait: duration.optional().describe('time that a new stream waits for a far side that is away; 10s by default'),
    resume: duration.optional().describe('time that the session lives without a connection; 2m by default'),
    heartbeat: duration
      .optional()
      .describe('silence after which the far side is asked for a sign of life; 15s by default'),
  })
  .refine(({ dial, listen }) => (dial === undefined) !== (listen === undefined), {
    message: 'a tunnel has either "dial" or "listen": who of the two can be reached listens',
  });

const configuration = z.strictObject({
  plugins: z.array(z.string()).optional().describe('plugins to load: a file, a folder, or the name of a package'),
  identities: z
    .record(z.string().regex(NAME, EXPECTED_NAME), identity)
    .optional()
    .describe('who may be allowed, and what each proves itself by: all that its entry names'),
  tunnels: z
    .record(z.string().regex(NAME, EXPECTED_NAME), tunnel)
    .optional()
    .describe('connections that are kept up to other gateways, for the addresses tunnel:NAME/SERVICE'),
  limits: limits.optional(),
  links: z.array(link).optional(),
  hosts: z.record(z.string(), host).optional().describe('where "sluice rsh HOST" finds a host'),
});

export type Configuration = z.infer<typeof configuration>;
export type Endpoint = z.infer<ReturnType<typeof endpoint>>;

/** The keys that may stand where a path leads: for the hint at an unknown one. */
function knownKeys(path: readonly PropertyKey[]): string[] {
  if (path[0] === 'links') return Object.keys(link.shape);
  if (path[0] === 'limits') return Object.keys(limits.shape);
  if (path[0] === 'identities') return Object.keys((path[2] === 'limits' ? ownLimits : identity).shape);
  if (path[0] === 'tunnels') return Object.keys(tunnel.shape);
  if (path[0] === 'hosts') return ['sink', 'token', 'resume'];
  return Object.keys(configuration.shape);
}

/** The value at a path, for "got …". */
function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}

const show = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 80);

const KINDS: Readonly<Record<string, string>> = { object: 'a map', record: 'a map', array: 'a list', string: 'text' };

/** `"idle": `, or `"links" 2: ` for what stands in a list. */
function nameOf(path: readonly PropertyKey[]): string {
  const last = path.at(-1);
  if (last === undefined) return '';
  return typeof last === 'number' ? `"${String(path.at(-2))}" ${last + 1}: ` : `"${String(last)}": `;
}

/** Of a union's branches the one that was meant: whose shape fits, and only something inside it does not. */
function meant({ errors, path }: z.core.$ZodIssueInvalidUnion): z.core.$ZodIssue[] {
  const inside = errors.find((issues) =>
    issues.some(({ code, path: at }) => at.length > 0 || code === 'unrecognized_keys'),
  );
  return (inside ?? []).map((issue) => Object.assign(issue, { path: [...path, ...issue.path] }));
}

function explain(issue: z.core.$ZodIssue, root: unknown): Mistake[] {
  if (issue.code === 'invalid_union') {
    const inside = meant(issue);
    if (inside.length > 0) return inside.flatMap((one) => explain(one, root));
  }
  if (issue.code === 'invalid_key') {
    const why = issue.issues[0]?.message ?? issue.message;
    return [{ path: issue.path, atKey: true, message: `${why}, got "${String(issue.path.at(-1))}"` }];
  }
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const known = knownKeys(issue.path);
      const hint = didYouMean(key, known) || ` (known: ${known.join(', ')})`;
      return { path: [...issue.path, key], atKey: true, message: `unknown key "${key}"${hint}` };
    });
  }
  const name = nameOf(issue.path);
  const expected =
    issue.code === 'invalid_type' && issue.message.startsWith('Invalid')
      ? `expected ${KINDS[issue.expected] ?? issue.expected}`
      : issue.message;
  return [{ path: issue.path, message: `${name}${expected}, got ${show(valueAt(root, issue.path))}` }];
}

/** The configuration, or all that is wrong with it. */
export function readConfiguration(value: unknown): { configuration?: Configuration; mistakes: readonly Mistake[] } {
  const result = configuration.safeParse(value);
  if (result.success) return { configuration: result.data, mistakes: [] };
  return { mistakes: result.error.issues.flatMap((issue) => explain(issue, value)) };
}

const STRINGS = { type: 'array', items: { type: 'string' } } as const;

function optionSchema({ type, values, min, max, default: value, help }: OptionSpec): Record<string, unknown> {
  const shapes: Record<OptionSpec['type'], Record<string, unknown>> = {
    string: { type: 'string' },
    path: { type: 'string' },
    choice: { enum: values ?? [] },
    boolean: { type: 'boolean' },
    integer: {
      type: 'integer',
      ...(min !== undefined && { minimum: min }),
      ...(max !== undefined && { maximum: max }),
    },
    duration: { type: 'string', pattern: '^(\\d+(\\.\\d+)?(ms|s|m|h)|off)$' },
    reference: { type: 'string', pattern: '^(file|env|credential):' },
    list: { anyOf: [{ type: 'string' }, STRINGS] },
    map: { type: 'object', additionalProperties: { type: 'string' } },
  };
  const shown = type === 'duration' ? undefined : value;
  return { ...shapes[type], description: help, ...(shown !== undefined && { default: shown }) };
}

function longForm(transport: Transport, scheme: string, role: Role): Record<string, unknown> {
  const specs = Object.entries({ ...COMMON_OPTIONS, ...transport.options } as OptionSpecs).filter(
    ([, spec]) => spec.role === undefined || spec.role === role,
  );
  const target = transport.literal ? { anyOf: [{ type: 'string' }, STRINGS] } : { type: 'string' };
  const properties = {
    [scheme]: { ...target, description: transport.grammar },
    ...Object.fromEntries(specs.map(([key, spec]) => [key, optionSchema(spec)])),
  };
  return {
    type: 'object',
    description: transport.summary,
    properties,
    required: [scheme],
    additionalProperties: false,
  };
}

function endpointSchema(registry: Registry, role: Role): Record<string, unknown> {
  const able = registry.transports().filter(({ listen, dial }) => (role === 'source' ? listen : dial) !== undefined);
  const plain = able.flatMap(({ schemes }) => schemes);
  const layers = registry.layers().map(({ name }) => name);
  const layered = layers.flatMap((name) => plain.map((scheme) => `${name}+${scheme}`));
  const forms = [...plain, ...layered].map((scheme) => longForm(registry.get(scheme), scheme, role));
  const before = layers.length > 0 ? `(?:(?:${layers.join('|')})\\+)*` : '';
  const schemes = plain.map((scheme) => scheme.replace('+', '\\+')).join('|');
  return { anyOf: [{ type: 'string', pattern: `^${before}(${schemes}):` }, ...forms] };
}

/** For editors: `# yaml-language-server: $schema=…`. */
export function jsonSchema(registry: Registry): object {
  return z.toJSONSchema(configuration, {
    target: 'draft-2020-12',
    override({ zodSchema, jsonSchema: made }) {
      const role = z.globalRegistry.get(zodSchema)?.['role'];
      if (role !== 'source' && role !== 'sink') return;
      delete made.anyOf;
      delete made['role'];
      Object.assign(made, endpointSchema(registry, role));
    },
  });
}
