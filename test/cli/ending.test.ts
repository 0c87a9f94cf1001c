/** How `link` and `connect` end: exit statuses, signals, draining; and standard output, which belongs to the data. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { COMMAND, sluice, startSluice, type Running } from '../support/command.ts';
import { start, startLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { seededBytes } from '../support/tree.ts';

assertNothingLeaks();

describe('the exit status of connect', () => {
  for (const [what, command, status] of [
    ['that of a command that is content', 'true', 0],
    ['the command’s own', `sh -c 'exit 7'`, 7],
    ['128 + 9 for a command that was killed', `sh -c 'kill -9 $$'`, 137],
    ['128 + 15 for one that was stopped', `sh -c 'kill $$'`, 143],
  ] as const) {
    it(`is ${what}`, async (t) => {
      assert.equal((await sluice(new Scope(t), ['connect', `exec:${command}`])).code, status);
    });
  }

  it('is 255 where the far side cuts, after all bytes that came before', async (t) => {
    const scope = new Scope(t);
    // only once it is heard of: a reset that comes before that is a failed dial
    const far = await cuttingServer(scope, (socket) =>
      socket.once('data', () => socket.write('half', () => socket.resetAndDestroy())),
    );
    const { child, ended } = startSluice(scope, ['connect', far]);
    child.stdin.write('?');
    const { code, stdout, stderr } = await ended;
    child.stdin.end();
    assert.deepEqual([code, stdout], [255, 'half']);
    assert.match(stderr, /cut by the sink: .*ECONNRESET/);
  });
});

/** A TCP server that does one thing to each connection; resolves with its address. */
async function cuttingServer(scope: Scope, act: (socket: Socket) => void): Promise<string> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    scope.defer(() => socket.destroy());
    act(socket.on('error', () => {}));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.defer(() => server.close());
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it('standard output is the far side’s bytes and nothing else, also when all is logged', async (t) => {
  const scope = new Scope(t);
  const sent = seededBytes('stdout', 5_000_000);
  const { child, ended } = start(scope, process.execPath, [
    COMMAND,
    'connect',
    '-v',
    `exec:sh -c 'echo note >&2; cat'`,
  ]);
  child.stdin.end(sent);
  const { code, stdout, stderr } = await ended;
  assert.ok(stdout.equals(sent));
  assert.equal(code, 0);
  assert.match(stderr, /^note$/m);
});

it('a reader that leaves ends connect, and the command behind it', async (t) => {
  const { child, untilStderr, ended } = startSluice(new Scope(t), ['connect', '-v', 'exec:yes']);
  ended.catch(() => {}); // its output is not read to the end
  const [, pid] = await untilStderr(/opened .*sink=exec:yes\[(\d+)\]/);
  child.stdout.destroy();
  const [code] = await once(child, 'exit');
  assert.equal(code, 255);
  assert.throws(() => process.kill(Number(pid), 0), { code: 'ESRCH' });
});

/** A link whose command answers one line, and a client in the middle of a conversation with it. */
async function conversation(
  scope: Scope,
  ...flags: string[]
): Promise<{ link: Running; source: string; client: Running }> {
  const source = `unix:${scope.folder()}/s`;
  const link = await startLink(scope, source, `exec:sh -c 'read line; echo "got $line"'`, ...flags);
  const client = startSluice(scope, ['connect', source]);
  await link.untilStderr(/opened/);
  return { link, source, client };
}

describe('a link that is told to stop', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`takes no more connections at ${signal}, and ends with 0 when the running one has finished`, async (t) => {
      const scope = new Scope(t);
      const { link, source, client } = await conversation(scope);
      link.child.kill(signal);
      await link.untilStderr(/draining {2}connections=1/);
      assert.equal((await sluice(scope, ['connect', source])).code, 255);
      client.child.stdin.end('me\n');
      assert.equal((await client.ended).stdout, 'got me\n');
      assert.equal((await link.ended).code, 0);
    });
  }

  it('ends at once at a second signal, and so does its command', async (t) => {
    const { link, client } = await conversation(new Scope(t));
    link.child.kill('SIGTERM');
    await link.untilStderr(/draining/);
    link.child.kill('SIGTERM');
    assert.equal((await link.ended).code, 143);
    client.child.stdin.end();
    assert.equal((await client.ended).stdout, '');
  });
});

it('link --once ends after one connection, and takes no second one', async (t) => {
  const scope = new Scope(t);
  const { link, source, client } = await conversation(scope, '--once');
  assert.equal((await sluice(scope, ['connect', source])).code, 255);
  client.child.stdin.end('you\n');
  assert.equal((await client.ended).stdout, 'got you\n');
  assert.equal((await link.ended).code, 0);
});

/** connect to a server of ours that echoes; resolves when the first byte has come back. */
async function echoed(scope: Scope): Promise<{ client: Running; far: Promise<Socket> }> {
  const far = Promise.withResolvers<Socket>();
  const address = await cuttingServer(scope, (socket) => {
    socket.pipe(socket);
    far.resolve(socket);
  });
  const client = startSluice(scope, ['connect', address]);
  client.child.stdin.write('a');
  await once(client.child.stdout, 'data');
  return { client, far: far.promise };
}

const cutOf = async (socket: Socket): Promise<unknown> => (await once(socket, 'error'))[0].code;

describe('signals to connect, as an ssh takes them', () => {
  it('SIGINT in a pipeline lets bytes go on; an end of input after it is a cut, and the status 130', async (t) => {
    const { client, far } = await echoed(new Scope(t));
    const cut = cutOf(await far);
    client.child.kill('SIGINT');
    client.child.stdin.write('b');
    await once(client.child.stdout, 'data');
    client.child.stdin.end();
    assert.equal(await cut, 'ECONNRESET');
    assert.deepEqual([(await client.ended).code, (await client.ended).stdout], [130, 'ab']);
  });

  for (const [signal, status] of [
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    it(`${signal} cuts at once: status ${status}`, async (t) => {
      const { client, far } = await echoed(new Scope(t));
      const cut = cutOf(await far);
      client.child.kill(signal);
      assert.equal(await cut, 'ECONNRESET');
      assert.equal((await client.ended).code, status);
    });
  }

  it('SIGINT on a terminal cuts: status 130', async (t) => {
    const scope = new Scope(t);
    const far = Promise.withResolvers<Socket>();
    const address = await cuttingServer(scope, (socket) => far.resolve(socket));
    const command = `'${process.execPath}' '${COMMAND}' connect '${address}'`;
    const { child, ended } = start(scope, 'script', ['-qefc', command, '/dev/null']);
    const cut = cutOf(await far.promise);
    child.stdin.write('\x03');
    assert.equal(await cut, 'ECONNRESET');
    assert.equal((await ended).code, 130);
  });
});

it('an end of input reaches the far side as an end, and its late reply comes back', async (t) => {
  const scope = new Scope(t);
  const address = await cuttingServer(scope, (socket) => {
    let got = 0; // not by buffer(): in Node 22 that destroys the socket at its end
    socket.on('data', (chunk: Buffer) => (got += chunk.length));
    socket.on('end', () => setTimeout(() => socket.end(`got ${got}`), 300));
  });
  const { code, stdout } = await sluice(scope, ['connect', address], 'x'.repeat(1000));
  assert.deepEqual([code, stdout], [0, 'got 1000']);
});
