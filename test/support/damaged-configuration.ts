/** Configurations that were good until somebody damaged them: their text, or what it says. */
import fc from 'fast-check';
import { ConfigDocument } from '../../core/config/document.ts';

const PIN = `sha256/${'A'.repeat(43)}=`;

export const GOOD = `
identities:
  laptop: { token: "file:laptop.token" }
  desk: { pin: "${PIN}", uid: 7 }
  gone: { revoked: "2026-01-01" }
tunnels:
  office: { listen: "wss://0.0.0.0:9001/t?cert=c.pem&key=k.pem", allow: [laptop] }
  home: { dial: ["wss://home.example/t"], token: "file:t" }
limits: { connections: 5, loopback: yes }
links:
  - name: borg
    source: tls://0.0.0.0:9000?cert=c.pem&key=k.pem&ca=a.pem
    sink: { exec: [borg, serve, "/srv/{identity}"], user: borg }
    allow: [laptop]
    idle: 10m
  - { name: shell, source: "wss://[::]:8443/x?cert=self", sink: { shell: "", user: alice }, allow: [laptop] }
  - { name: web, source: { ws: "10.0.0.1:8080/y", session: yes }, sink: "tcp://127.0.0.1:80", services: { sftp: "sftp:/srv" }, allow: anyone }
  - { name: local, source: "unix:./s?mode=0600", sink: "tcp://127.0.0.1:80" }
  - { name: near, source: "tcp://127.0.0.1:81", sink: "tunnel:office/repo" }
hosts:
  backup: { sink: "wss://backup.example/borg", token: "file:t" }
`;

/** The same as data, so that a change of one value leaves a text that can still be read. */
const SAID: unknown = new ConfigDocument('good', GOOD).value;

/** The words of a text. */
const words = (text: string): readonly string[] => text.trim().split(/\s+/);

const WORDS = [
  ...words('allow alow anyone [] {} null ~ yes -1 1e9 "" *a &a !!js << __proto__ constructor token source 0.0.0.0'),
  ...words(`{identity} " ' # % ? \u0000 \u202E ä`),
  '- ',
  ': ',
  ', ',
  '\n',
  '  ',
  '\t',
];

/** One change of the text: something taken out, put in, doubled, or exchanged with what stands elsewhere. */
const change = fc.record({
  at: fc.nat(GOOD.length),
  length: fc.oneof(fc.nat(3), fc.nat(40)),
  put: fc.oneof(
    fc.constantFrom(...WORDS),
    fc.string({ maxLength: 6 }),
    fc.nat(GOOD.length).map((from) => GOOD.slice(from, from + 20)),
  ),
});

const damagedText = fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
  let text = GOOD;
  for (const { at, length, put } of changes) text = text.slice(0, at) + put + text.slice(at + length);
  return text;
});

/** Hosts that are this machine, that are not, and that only look so. */
const HOSTS = words(`
  0.0.0.0 [::] 10.0.0.1 128.0.0.1 [fe80::1%25eth0] [::ffff:10.0.0.1] [::ffff:0.0.0.0] [::127.0.0.1]
  127.0.0.1 127.9.9.9 [::1] [::ffff:127.0.0.1] [::FFFF:7f00:1] [0:0:0:0:0:0:0:1]
  localhost localhost. LOCALHOST 127.1 0 0x7f.1 127.0.0.1.example site.example *`);
const OPTIONS = ['', ...words('?session=yes ?session=no ?trusted-proxies=10.0.0.0/8 ?trusted-proxies=127.0.0.1')];
const SECURE = words('?cert=self ?cert=self&session=no ?cert=c.pem&key=k.pem&ca=a.pem ?cert=self&trusted-proxies=unix');

const networkSource = fc
  .tuple(fc.constantFrom('tcp', 'tls', 'ws', 'wss'), fc.constantFrom(...HOSTS), fc.nat(8))
  .map(([scheme, host, at]) => {
    const isSecure = scheme === 'tls' || scheme === 'wss';
    const options = isSecure ? SECURE : OPTIONS;
    return `${scheme}://${host}:${1_000 + at}${scheme.startsWith('ws') ? '/p' : ''}${options[at % options.length]}`;
  });

const otherSource = fc.constantFrom<unknown>(
  ...words('unix:./u unix:./u?mode=0666 unix:./u?trusted-proxies=unix ws+unix:./w:/x ws+unix:./w:/x?session=no'),
  ...words('tunnel:office/x tunnel:home/x tunnel:nowhere/x fd:3 systemd: stdio: exec:cat'),
  { tcp: '0.0.0.0:7' },
  { tcp: '127.0.0.1:7', session: 'yes', 'trusted-proxies': ['10.0.0.1'] },
  { unix: './u', tcp: '0.0.0.0:7' },
);

const sink = fc.constantFrom<unknown>(
  ...words('exec:cat shell: sftp:/srv sftp:/srv/{identity} tcp://127.0.0.1:80 unix:./x tunnel:office/y'),
  ...words('tcp://{identity}:1 unix:./{identity} unix:{identity} stdio:'),
  'exec:cat {identity}',
  { exec: ['cat', '{identity}'] },
  { exec: ['cat', 'x{identity}'] },
  { shell: '', user: 'alice' },
);

const names = words('laptop gone desk anyone home office stranger');
const allow = fc.oneof(
  fc.constantFrom('anyone', 'anyone', 'laptop', 'Anyone', 'any one', '', '*', null, 0, true, [], {}, { laptop: null }),
  fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 2 }),
  fc.constantFrom([null], [['laptop']], [{}], ['laptop', 'laptop']),
);

const anything = fc.oneof(
  fc.constantFrom<unknown>(null, true, 0, -1, 1e9, 1.5, '', 'off', '5m', 'x'.repeat(300), '\u0000', [], {}, [[]], {
    '': '',
  }),
  fc.jsonValue({ maxDepth: 2 }),
);

/** A value by what stands there: mostly one that somebody could have meant. */
const valueFor = (key: unknown): fc.Arbitrary<unknown> => {
  if (key === 'source' || key === 'listen')
    return fc.oneof(
      { weight: 6, arbitrary: networkSource },
      { weight: 3, arbitrary: otherSource },
      { weight: 1, arbitrary: anything },
    );
  if (key === 'sink' || key === 'dial' || key === 'sftp')
    return fc.oneof({ weight: 9, arbitrary: sink }, { weight: 1, arbitrary: anything });
  if (key === 'allow') return fc.oneof({ weight: 9, arbitrary: allow }, { weight: 1, arbitrary: anything });
  return anything;
};

type Path = readonly (string | number)[];

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, ...entries.flatMap(([key, inner]) => pathsOf(inner, [...path, key]))];
}

const PATHS = pathsOf(SAID).filter((path) => path.length > 0);
/** Places that decide who comes in are changed as often as all others together. */
const DECISIVE = PATHS.filter((path) => ['source', 'listen', 'allow', 'sink'].includes(String(path.at(-1))));

type Edit = { readonly path: Path } & (
  | { readonly do: 'set' | 'double'; readonly value: unknown }
  | { readonly do: 'remove' }
  | { readonly do: 'rename'; readonly key: string }
);

const STRANGE = ['allow', 'alow', 'Allow', '__proto__', 'constructor', 'toString', 'source', 'listen', 'dial', 'x', ''];

const edit: fc.Arbitrary<Edit> = fc.oneof(fc.constantFrom(...DECISIVE), fc.constantFrom(...PATHS)).chain((at) => {
  const path = fc.constant(at);
  const set = fc.record({ path, do: fc.constantFrom('set', 'set', 'double'), value: valueFor(at.at(-1)) });
  const remove = fc.record({ path, do: fc.constant('remove') });
  const rename = fc.record({ path, do: fc.constant('rename'), key: fc.constantFrom(...STRANGE) });
  const weight = at.at(-1) === 'allow' ? 2 : 20; // without most of the others nothing is left to look at
  return fc.oneof<fc.MaybeWeightedArbitrary<Edit>[]>(
    { weight, arbitrary: set },
    { weight: 1, arbitrary: remove },
    { weight: 1, arbitrary: rename },
  );
});

function apply(said: unknown, one: Edit): void {
  const holder = one.path
    .slice(0, -1)
    .reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], said);
  const key = one.path.at(-1) as string;
  if (typeof holder !== 'object' || holder === null || !Object.hasOwn(holder, key)) return; // an earlier edit took it away
  const fields = holder as Record<string, unknown>;
  if (one.do === 'set') fields[key] = one.value;
  else if (one.do === 'double' && Array.isArray(holder)) holder.push(structuredClone(holder[Number(key)]));
  else if (Array.isArray(holder)) holder.splice(Number(key), 1);
  else {
    const value = fields[key];
    delete fields[key];
    if (one.do === 'rename')
      Object.defineProperty(fields, one.key, { value, enumerable: true, configurable: true, writable: true });
  }
}

const damagedSense = fc.array(edit, { minLength: 1, maxLength: 3 }).map((edits) => {
  const said: unknown = structuredClone(SAID);
  for (const one of edits) apply(said, one);
  return JSON.stringify(said, null, 1);
});

export const damaged = fc.oneof({ weight: 1, arbitrary: damagedText }, { weight: 2, arbitrary: damagedSense });
