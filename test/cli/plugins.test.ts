/** Plugins by the command line: what may be named, what is refused, and how it is told. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { sluice, startSluice, type Ended } from '../support/command.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

/** A sink that answers with a greeting; `%` is replaced in each test. */
const GREETER = `import { PassThrough } from 'node:stream';
import { defineTransport } from 'sluice/plugin';
export default defineTransport({
  contract: 1, name: 'greeter', schemes: ['greet'], grammar: 'greet:NAME', summary: 'greets', options: {}, capabilities: [],
  parse: ({ target }: { target: string }) => target,
  dial: async (name: string) => ({ stream: new PassThrough().end(\`hello \${name}\`), peer: { address: 'greeter' } }),
});`;

const LAYER = `import { Transform } from 'node:stream';
import { defineLayer, through } from 'sluice/plugin';
const upper = () => new Transform({ transform: (chunk, _encoding, done) => done(null, chunk.toString().toUpperCase()) });
export const loud = defineLayer({
  contract: 1, name: 'loud', summary: 'shouts', options: {}, keeps: ['half-close'], adds: [], parse: () => ({}),
  wrap: (_options, { stream }) => ({ stream: through(stream, { outgoing: upper(), incoming: upper() }) }),
});`;

interface Place {
  readonly scope: Scope;
  readonly folder: string;
  run(...args: string[]): Promise<Ended>;
}

function place(t: TestContext, files: Readonly<Record<string, string>>): Place {
  const scope = new Scope(t);
  const folder = scope.folder();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, name), text, { mode: 0o600 });
  }
  return { scope, folder, run: (...args) => sluice(scope, args, '', { cwd: folder }) };
}

const PACKAGE = (main: string): string => JSON.stringify({ name: 'x', type: 'module', main });
const JS = GREETER.replaceAll(/: \{ target: string \}|: string/g, '');

describe('a plugin is named', () => {
  const named: [how: string, files: Readonly<Record<string, string>>, plugin: string][] = [
    ['as a TypeScript file', { 'a.ts': GREETER }, './a.ts'],
    ['as a file without a dot before it', { 'a.ts': GREETER }, 'a.ts'],
    ['as a module of JavaScript', { 'a.mjs': JS }, './a.mjs'],
    ['as a file of JavaScript', { 'a.js': JS }, './a.js'],
    ['as a folder', { 'p/index.ts': GREETER }, './p'],
    ['as a folder with a package.json', { 'p/package.json': PACKAGE('./src/x.ts'), 'p/src/x.ts': GREETER }, './p'],
    [
      'as a package',
      { 'node_modules/sluice-greet/package.json': PACKAGE('./x.ts'), 'node_modules/sluice-greet/x.ts': GREETER },
      'sluice-greet',
    ],
    [
      'as a scoped package',
      { 'node_modules/@acme/greet/package.json': PACKAGE('./x.ts'), 'node_modules/@acme/greet/x.ts': GREETER },
      '@acme/greet',
    ],
  ];
  for (const [how, files, plugin] of named)
    it(how, async (t) => {
      const { run } = place(t, files);
      assert.deepEqual(await run('connect', '--plugin', plugin, 'greet:Ada'), {
        code: 0,
        signal: null,
        stdout: 'hello Ada',
        stderr: '',
      });
    });

  it('and may bring several transports and layers at once', async (t) => {
    const both =
      `${LAYER}\n${GREETER.replace('export default', 'const greeter =')}\nexport default [greeter, loud];`.replace(
        /import \{ defineTransport \} from 'sluice\/plugin';/,
        `import { defineTransport } from 'sluice/plugin';`,
      );
    const { run } = place(t, { 'a.ts': both });
    assert.equal((await run('connect', '--plugin', './a.ts', 'loud+greet:Ada')).stdout, 'HELLO ADA');
    const { stdout } = await run('transports', '--plugin', './a.ts');
    assert.match(stdout, /^loud\+SCHEME:… +layer +shouts\n +keeps: half-close$/m);
  });
});

it('a package that nobody named is not loaded', async (t) => {
  const { run } = place(t, {
    'node_modules/sluice-greet/package.json': PACKAGE('./x.mjs'),
    'node_modules/sluice-greet/x.mjs': `console.error('LOADED');${JS}`,
  });
  const { code, stderr } = await run('connect', 'greet:Ada');
  assert.equal(code, 78);
  assert.match(stderr, /unknown scheme "greet:"/);
  assert.doesNotMatch(stderr, /LOADED/);
});

const OTHER = (from: string, to: string): Readonly<Record<string, string>> => ({ 'a.ts': GREETER.replace(from, to) });

describe('a plugin is refused with one line that names it, its member and the remedy, and', () => {
  const refused: [what: string, files: Readonly<Record<string, string>>, message: RegExp][] = [
    ['is not there', {}, /plugin \.\/a\.ts: there is no \/.*\/a\.ts/],
    ['tells no contract', OTHER('contract: 1,', ''), /it does not say which contract .*; add "contract: 1" to it/],
    [
      'is of a newer contract',
      OTHER('contract: 1', 'contract: 2'),
      /its "contract" is 2, and this Sluice has contract 1; get a newer Sluice/,
    ],
    ['misses a member', OTHER('options: {},', ''), /its "options" must be of type object, and is undefined/],
    [
      'has a malformed member',
      OTHER(`schemes: ['greet']`, `schemes: 'greet'`),
      /its "schemes" must be of type array, and is string/,
    ],
    [
      'has a method that is none',
      OTHER('dial: async', 'inspect: 5, dial: async'),
      /its "inspect" must be of type function, and is number/,
    ],
    [
      'promises what there is not',
      OTHER('capabilities: []', `capabilities: ['half-closed']`),
      /no capability "half-closed"; did you mean "?half-close/,
    ],
    [
      'has an option of no type',
      OTHER('options: {}', `options: { a: { type: 'int', help: 'x' } }`),
      /its option "a" must have a "type"/,
    ],
    [
      'takes a scheme',
      OTHER(`['greet']`, `['tcp']`),
      /plugin \.\/a\.ts: transport "greeter" claims the scheme "tcp:", which "tcp" has already; remove one/,
    ],
    ['throws', { 'a.ts': `throw new Error('no luck');` }, /plugin \.\/a\.ts: no luck/],
    ['throws what is no Error', { 'a.ts': `throw { a: 1 };` }, /plugin \.\/a\.ts: /],
    ['cannot be parsed', { 'a.ts': 'export default {{{' }, /plugin \.\/a\.ts: /],
    [
      'imports what is not installed',
      { 'a.ts': `import 'not-there';` },
      /plugin \.\/a\.ts: Cannot find (?:module|package) 'not-there'/,
    ],
  ];
  for (const [what, files, message] of refused)
    it(what, async (t) => {
      const { run } = place(t, files);
      const { code, stdout, stderr } = await run('connect', '--plugin', './a.ts', 'greet:Ada');
      assert.deepEqual(
        { code, stdout, lines: stderr.trimEnd().split('\n').length },
        { code: 78, stdout: '', lines: 1 },
        stderr,
      );
      assert.match(stderr, message);
      assert.match(stderr, /\[SLUICE_PLUGIN\]\n$/);
    });

  it('is not installed', async (t) => {
    const { run } = place(t, { 'greet/index.ts': GREETER });
    const { code, stderr } = await run('connect', '--plugin', 'greet', 'greet:Ada');
    assert.equal(code, 78);
    assert.match(
      stderr,
      /plugin greet: it is not installed beside \/.*; run npm install greet there; for the file or folder write \.\/greet/,
    );
  });

  it('comes with Sluice only as one thinks', async (t) => {
    const { stderr } = await place(t, {}).run('connect', '--plugin', 'sluice/nothing', 'greet:Ada');
    assert.match(stderr, /plugin sluice\/nothing: Sluice brings no such plugin; it brings /);
  });

  it('can be written by others', async (t) => {
    const { run, folder } = place(t, { 'a.ts': GREETER });
    chmodSync(join(folder, 'a.ts'), 0o666);
    assert.match(
      (await run('connect', '--plugin', './a.ts', 'greet:Ada')).stderr,
      /can be written by others; run: chmod go-w/,
    );
  });
});

it(
  'a plugin that another user owns is refused',
  { skip: process.getuid?.() !== 0 && 'only root can give a file away' },
  async (t) => {
    const { run, folder } = place(t, { 'a.ts': GREETER, 'p/index.ts': GREETER });
    chownSync(join(folder, 'a.ts'), 12_345, 12_345);
    chownSync(join(folder, 'p'), 12_345, 12_345);
    for (const plugin of ['./a.ts', './p'])
      assert.match(
        (await run('connect', '--plugin', plugin, 'greet:Ada')).stderr,
        /belongs to user 12345, .*SLUICE_PLUGIN/,
      );
  },
);

describe('what goes wrong outside a contract call', () => {
  it('ends the process, and is logged with the name of the plugin', async (t) => {
    const late = GREETER.replace(
      'dial: async (name: string) => ({',
      `dial: async (name: string) => (setTimeout(() => { throw new Error('later') }, 10), {`,
    ).replace('.end(`hello ${name}`)', '');
    const { scope, folder } = place(t, { 'a.ts': late });
    const { child, ended } = startSluice(scope, ['connect', '--plugin', './a.ts', 'greet:Ada'], { cwd: folder });
    const { code, stderr } = await ended;
    child.stdin.end();
    assert.notEqual(code, 0);
    assert.match(stderr, /uncaught error, the process ends  plugin=greeter reason=later/);
  });

  it('is a socket that was left open, and told at the end with the name of the transport', async (t) => {
    const leak = GREETER.replace('dial: async (name: string) => ({', `dial: async (name: string) => (await leak(), {`)
      .concat(`
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
async function leak() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect(server.address().port, '127.0.0.1');
  await once(socket, 'connect');
}`);
    const { run } = place(t, { 'a.ts': leak });
    const { code, stdout, stderr } = await run('connect', '--plugin', './a.ts', 'greet:Ada');
    assert.deepEqual([code, stdout], [0, 'hello Ada']);
    assert.match(stderr, /sockets were left open  transport=greeter count=2 where=/);
  });
});

it('without a plugin, what loads plugins is not even read', async (t) => {
  const { scope, folder } = place(t, { 'a.ts': GREETER });
  const loads = async (...args: string[]): Promise<string> =>
    (await sluice(scope, args, '', { cwd: folder, env: { ...process.env, NODE_DEBUG: 'module' } })).stderr;
  assert.doesNotMatch(await loads('connect', 'exec:true'), /jiti|loader-/);
  assert.match(await loads('connect', '--plugin', './a.ts', 'greet:Ada'), /jiti/);
});

describe('of plugins that come with Sluice', () => {
  const said: [what: string, args: string[], message: RegExp][] = [
    [
      'one without its prefix is recognised, and no stranger’s package is named',
      ['--plugin', 'rate', 'unix:/x'],
      /plugin rate: it is not installed beside \S+; did you mean sluice\/rate, which comes with Sluice\? \[/,
    ],
    ['a misspelt one is', ['--plugin', 'sluice/rat', 'unix:/x'], /brings no such plugin;.*did you mean "rate"\?/],
    [
      'the layer is known before it is named',
      ['rate+unix:/x'],
      /unknown scheme "rate\+unix:"; "rate" is a layer of the plugin sluice\/rate: add --plugin sluice\/rate, or "plugins: \[sluice\/rate\]"/,
    ],
    ['and so is the transport', ['abstract:x'], /"abstract" is a transport of the plugin sluice\/abstract/],
    ['a layer by the name of a scheme is', ['tls+unix:/x'], /"tls" is a layer of the plugin sluice\/tls/],
  ];
  for (const [what, args, message] of said)
    it(what, async (t) => {
      const { code, stderr } = await place(t, {}).run('connect', ...args);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /npm install/);
      assert.equal(code, 78);
    });

  it('all are listed by transports and by the help, with the options of every address', async (t) => {
    const { run } = place(t, {});
    const { stdout } = await run('transports');
    assert.match(stdout, /\nOptions of every address\n {4}session=boolean .*\n {4}resume=/);
    assert.match(stdout, /\n {4}sluice\/rate +layer +limited to a number of bytes/);
    assert.match((await run('--help')).stdout, /--plugin sluice\/NAME\): abstract, command, pt, rate, tls, zstd/);
  });
});
