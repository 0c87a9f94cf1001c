/** `command:…`: programs as carriers; among them ssh, to a real sshd. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { it } from 'node:test';
import { bridgeCommand, transportSuite } from '../../compliance/index.ts';
import command from '../../plugins/command/index.ts';
import { sluice } from '../support/command.ts';
import { startLink, type RunningLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { startSshd } from '../support/sshd.ts';

assertNothingLeaks();

const quoted = (word: string): string => `'${word.replaceAll("'", `'"'"'`)}'`;

transportSuite(command, {
  nobody: 'command:/nonexistent/program',
  far: async (bench) => {
    const { words, accept } = await bridgeCommand(bench);
    return { sink: `command:${words.map(quoted).join(' ')}`, accept };
  },
});

const PLUGIN = ['--plugin', 'sluice/command'];

it('a program that ends with another status than 0 is a cut, and its words are shown', async (t) => {
  const sink = 'command:sh -c "echo half; echo no route >&2; exit 5"';
  const { code, stdout, stderr } = await sluice(new Scope(t), ['connect', ...PLUGIN, sink]);
  assert.deepEqual([code, stdout], [255, 'half\n']);
  assert.match(stderr, /no route/);
  assert.match(stderr, /it ended with status 5 \[SLUICE_CUT\]/);
});

for (const [what, script] of [
  ['reads nothing', 'echo hello'],
  ['reads no more, and has still much to say', 'exec <&-; sleep 0.3; echo hello'],
])
  it(`all that a program says arrives, where it ${what}`, async (t) => {
    const input = 'x'.repeat(300_000); // more than a pipe holds
    const { code, stdout, stderr } = await sluice(
      new Scope(t),
      ['connect', ...PLUGIN, `command:sh -c "${script}"`],
      input,
    );
    assert.deepEqual([code, stdout], [0, 'hello\n'], stderr);
  });

/** Ignores TERM, and holds a socket for as long as it lives; the program that has started it ends at once. */
const STUBBORN = `
process.on('SIGTERM', () => {});
require('node:net').connect(Number(process.argv[1]), '127.0.0.1').on('error', () => {});`;

/** A program that has started a stubborn one in the background, behind a link. */
async function startStubborn(scope: Scope): Promise<{ link: RunningLink; client: Socket; killed: Promise<unknown> }> {
  const server = createServer().listen(0, '127.0.0.1');
  scope.defer(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const stubborn = [process.execPath, '-e', STUBBORN, String(port)].map(quoted).join(' ');
  const link = await startLink(scope, 'tcp://127.0.0.1:0', `command:sh -c ${quoted(`${stubborn} & cat`)}`, ...PLUGIN);
  const client = connect(Number(/\d+$/.exec(link.address)?.[0]), '127.0.0.1').on('error', () => {});
  scope.defer(() => client.destroy());
  const [held] = (await once(server, 'connection')) as [Socket];
  scope.defer(() => held.destroy());
  const killed = once(
    held.resume().on('error', () => {}),
    'close',
    { signal: AbortSignal.timeout(10_000) },
  );
  return { link, client, killed };
}

it('a cut kills all that the program has started, also what ignores TERM and outlives it', async (t) => {
  const { client, killed } = await startStubborn(new Scope(t));
  client.resetAndDestroy();
  await killed;
});

it('a gateway that ends at once kills it, too', async (t) => {
  const { link, killed } = await startStubborn(new Scope(t));
  link.child.kill('SIGTERM'); // what runs gets time to finish; the second signal ends at once
  await link.untilStderr(/draining/);
  link.child.kill('SIGTERM');
  await killed;
});

it('ssh -W is a carrier: bytes, a late reply, and with a session the exit status of the far command', async (t) => {
  const scope = new Scope(t);
  const sshd = await startSshd(scope);
  const far = await startLink(scope, 'tcp://127.0.0.1:0?session=yes', 'exec:sh -c "wc -c; exit 7"');
  const target = /\d+\.\d+\.\d+\.\d+:\d+/.exec(far.address)?.[0] ?? '';
  const line = `command:${sshd.ssh.map(quoted).join(' ')} -W ${target} ${sshd.host}`;
  const near = await startLink(scope, `unix:${scope.folder()}/s?session=yes`, 'exec:true'); // a gateway beside it is not disturbed
  const { code, stdout, stderr } = await sluice(
    scope,
    ['rsh', ...PLUGIN, '--to', line, 'any', 'ignored'],
    'x'.repeat(100_000),
  );
  assert.deepEqual([stdout.trim(), code], ['100000', 7], stderr);
  assert.ok(near.address);
});

it('a link through ssh -W serves a plain client, too', async (t) => {
  const scope = new Scope(t);
  const sshd = await startSshd(scope);
  const far = await startLink(scope, 'tcp://127.0.0.1:0', 'exec:sh -c "cat; echo end"');
  const target = /\d+\.\d+\.\d+\.\d+:\d+/.exec(far.address)?.[0] ?? '';
  const sink = `command:${sshd.ssh.map(quoted).join(' ')} -W ${target} ${sshd.host}`;
  const near = await startLink(scope, 'tcp://127.0.0.1:0', sink, ...PLUGIN);
  const client = connect({ port: Number(/\d+$/.exec(near.address)?.[0]), host: '127.0.0.1', allowHalfOpen: true });
  await once(client, 'connect');
  client.end('all of it, ');
  assert.equal(await text(client), 'all of it, end\n');
});
