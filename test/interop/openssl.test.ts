/** openssl s_client and s_server at the other end: verification, ends with close_notify, and cuts without it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { it } from 'node:test';
import { certificates } from '../support/certificates.ts';
import { startSluice } from '../support/command.ts';
import { freePort, start, startLink, untilListening, type Program, type RunningLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const { ca, server, client } = certificates();

interface Recorder extends RunningLink {
  readonly got: string;
  readonly end: string;
}

/** A tls source whose command writes its input to a file, and makes a second file only when its input has ended. */
async function recorder(scope: Scope, options = ''): Promise<Recorder> {
  const folder = scope.folder();
  const [got, end] = [`${folder}/got`, `${folder}/end`];
  const source = `tls://127.0.0.1:0?cert=${server.cert}&key=${server.key}${options}`;
  const link = await startLink(scope, source, `exec:sh -c 'tee ${got}; touch ${end}'`);
  return { ...link, got, end };
}

function sClient(scope: Scope, address: string, ...more: string[]): Program {
  const verified = ['-CAfile', ca, '-verify_return_error', '-verify_ip', '127.0.0.1'];
  const where = address.replace('tls://', '');
  return start(scope, 'openssl', ['s_client', '-quiet', '-no_ign_eof', ...verified, '-connect', where, ...more]);
}

it('s_client verifies a tls source, gets its echo, and its close_notify is an end to the command', async (t) => {
  const scope = new Scope(t);
  const { address, got, end, untilStderr } = await recorder(scope);
  const { child } = sClient(scope, address);
  child.stdin.write('hello\n');
  assert.equal(String((await once(child.stdout, 'data'))[0]), 'hello\n');
  child.stdin.end();
  await untilStderr(/closed .*exit=0/);
  assert.ok(existsSync(end));
  assert.equal(readFileSync(got, 'utf8'), 'hello\n');
});

for (const [truncation, how] of [
  ['', 'cut'],
  ['&truncation=end', 'ended'],
] as const) {
  it(`s_client killed without close_notify is ${how} with "${truncation || 'the default'}"`, async (t) => {
    const scope = new Scope(t);
    const { address, end, untilStderr } = await recorder(scope, truncation);
    const { child } = sClient(scope, address);
    child.stdin.write('half a backup\n');
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await untilStderr(how === 'cut' ? /closed .*how=cut by=source .*close_notify/ : /closed .*exit=0/);
    assert.equal(existsSync(end), how === 'ended');
  });
}

it('a source with a ca takes s_client with a certificate, and ends it without one', async (t) => {
  const scope = new Scope(t);
  const { address } = await recorder(scope, `&ca=${ca}`);
  const known = sClient(scope, address, '-cert', client.cert, '-key', client.key);
  known.child.stdin.write('hello\n');
  assert.equal(String((await once(known.child.stdout, 'data'))[0]), 'hello\n');
  const stranger = sClient(scope, address);
  stranger.child.stdin.write('hello\n');
  const { stdout, stderr } = await stranger.ended;
  assert.equal(stdout.length, 0);
  assert.match(stderr, /certificate required/);
});

it('a client of TLS 1.2 is refused', async (t) => {
  const scope = new Scope(t);
  const { address } = await recorder(scope);
  const { stderr, code } = await sClient(scope, address, '-tls1_2').ended;
  assert.match(stderr, /protocol version/);
  assert.notEqual(code, 0);
});

/** s_server as a sink; what is written to its standard input goes to the client. */
async function sServer(scope: Scope): Promise<{ far: Program; address: string }> {
  const port = await freePort();
  const files = ['-cert', server.cert, '-key', server.key];
  const far = start(scope, 'openssl', ['s_server', '-quiet', '-accept', `127.0.0.1:${port}`, ...files]);
  await untilListening(port);
  return { far, address: `tls://127.0.0.1:${port}?ca=${ca}` };
}

it('connect to s_server: both directions carry, and our end makes it end too', async (t) => {
  const scope = new Scope(t);
  const { far, address } = await sServer(scope);
  const { child, ended } = startSluice(scope, ['connect', address]);
  child.stdin.write('to the server\n');
  assert.equal(String((await once(far.child.stdout, 'data'))[0]), 'to the server\n');
  far.child.stdin.write('to the client\n');
  assert.equal(String((await once(child.stdout, 'data'))[0]), 'to the client\n');
  child.stdin.end();
  assert.equal((await ended).code, 0);
});

it('s_server killed without close_notify is a cut to connect: status 255', async (t) => {
  const scope = new Scope(t);
  const { far, address } = await sServer(scope);
  const { child, ended } = startSluice(scope, ['connect', address]);
  child.stdin.write('x\n');
  await once(far.child.stdout, 'data');
  far.child.stdin.write('half a restore');
  await once(child.stdout, 'data');
  far.child.kill('SIGKILL');
  const { code, stderr } = await ended;
  assert.equal(code, 255);
  assert.match(stderr, /cut by the sink: .*close_notify/);
});
