/** `npm run package`: the single executable does what the installed command does, where there is no Node. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { before, it } from 'node:test';
import { onlyPrograms } from './support/path.ts';
import { run, start, type Program } from './support/programs.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';

const PROJECT = join(import.meta.dirname, '..');
const EXECUTABLE = join(PROJECT, 'package/sluice');

/** In milliseconds since 1970; 0 where there is no such file. */
const changedAt = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

before(() => {
  if (changedAt(EXECUTABLE) > changedAt(join(PROJECT, 'dist/sluice.js'))) return;
  execFileSync(process.execPath, [join(PROJECT, 'packaging/executable.ts')], { stdio: 'ignore' });
});
assertNothingLeaks();

/** What a machine without Node has, and folders of the test's own. */
function bareMachine(scope: Scope) {
  const folder = scope.folder();
  const PATH = onlyPrograms(scope, 'sh', 'cat', 'flock');
  const env = { PATH, HOME: folder, XDG_STATE_HOME: folder, XDG_RUNTIME_DIR: folder };
  return { folder, options: { env, cwd: folder } };
}

/** The address that a client of the gateway dials. */
async function dialAddress({ child, said, ended }: Program): Promise<string> {
  const lines = createInterface(child.stderr);
  const listening = (async () => {
    for await (const line of lines) {
      const { message, properties } = JSON.parse(line) as { message: string; properties: Record<string, string> };
      if (message === 'listening') return properties['dial'] ?? properties['source'] ?? '';
    }
    throw new Error(`it does not listen:\n${said()}`);
  })();
  return Promise.race([listening, ended.then(() => Promise.reject(new Error(said())))]);
}

const PLUGIN = `
import { Duplex } from 'node:stream';
import { defineTransport } from 'sluice/plugin';
enum Word { Greeting = 'hello from' }
export default defineTransport({
  contract: 1, name: 'greeter', schemes: ['greeter'], grammar: 'greeter:NAME', summary: 'greets', options: {}, capabilities: [],
  parse: ({ target }: { target: string }): string => target,
  dial: async (name: string) => ({
    stream: Duplex.from({ readable: [Buffer.from(\`\${Word.Greeting} \${name}\`)] }),
    peer: { address: name },
  }),
});
`;

it('tells its version, its size and how fast it starts', async (t) => {
  const { options } = bareMachine(new Scope(t));
  const begin = performance.now();
  const version = execFileSync(EXECUTABLE, ['--version'], { ...options, encoding: 'utf8' }).trim();
  const milliseconds = performance.now() - begin;
  assert.match(version, /^\d+\.\d+\.\d+$/);
  t.diagnostic(`${Math.round(statSync(EXECUTABLE).size / 1e6)} MB, ${Math.round(milliseconds)} ms`);
});

it('links a UNIX socket to a command, and connects to it', async (t) => {
  const scope = new Scope(t);
  const { folder, options } = bareMachine(scope);
  const gateway = start(scope, EXECUTABLE, ['link', '--log-format', 'json', `unix:${folder}/s`, 'exec:cat'], options);
  await dialAddress(gateway);
  const { code, stdout } = await run(scope, EXECUTABLE, ['connect', `unix:${folder}/s`], { ...options, input: 'hi' });
  assert.deepEqual([code, stdout.toString()], [0, 'hi']);
});

it('makes a certificate of its own for a WebSocket, and connects by its pin', async (t) => {
  const scope = new Scope(t);
  const { options } = bareMachine(scope);
  const source = 'wss://127.0.0.1:0/x?cert=self';
  const gateway = start(scope, EXECUTABLE, ['link', '--log-format', 'json', source, 'exec:cat'], options);
  const address = await dialAddress(gateway);
  assert.match(address, /\?pin=sha256\//);
  const { code, stdout } = await run(scope, EXECUTABLE, ['connect', address], { ...options, input: 'hi' });
  assert.deepEqual([code, stdout.toString()], [0, 'hi']);
});

it('runs a configuration that names a plugin in TypeScript', async (t) => {
  const scope = new Scope(t);
  const { folder, options } = bareMachine(scope);
  writeFileSync(join(folder, 'greeter.ts'), PLUGIN);
  const link = `{ name: greet, source: "unix:${folder}/s", sink: "greeter:Ada" }`;
  writeFileSync(join(folder, 'sluice.yaml'), `plugins: [./greeter.ts]\nlinks:\n  - ${link}\n`);
  const gateway = start(scope, EXECUTABLE, ['run', '-c', 'sluice.yaml', '--log-format', 'json'], options);
  await dialAddress(gateway);
  const { stdout } = await run(scope, EXECUTABLE, ['connect', `unix:${folder}/s`], options);
  assert.equal(stdout.toString(), 'hello from Ada');
  gateway.child.kill('SIGTERM');
  await once(gateway.child, 'exit');
  assert.equal(gateway.child.exitCode, 0);
});
