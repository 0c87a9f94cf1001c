/** Python's websockets (Debian's package), as a plain client and a plain server, and speaking sluice.bytes.1. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { it } from 'node:test';
import { COMMAND, startSluice } from '../support/command.ts';
import { freePort, run, start, startLink, untilListening, type Program, type Ran } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { seededBytes } from '../support/tree.ts';

assertNothingLeaks();

const PYTHON = '/usr/bin/python3'; // the one that Debian's python3-websockets is for
const sent = seededBytes('websockets', 3_000_000);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Runs the body of an asynchronous function in Python. */
function script(body: string): string[] {
  const lines = body
    .trim()
    .split('\n')
    .map((line) => `    ${line}`);
  const imports = 'import asyncio, hashlib, os, sys, websockets';
  return ['-c', [imports, 'async def main():', ...lines, 'asyncio.run(main())'].join('\n')];
}

const python = (scope: Scope, body: string, ...args: string[]): Promise<Ran> =>
  run(scope, PYTHON, [...script(body), ...args], { input: sent });

async function pythonServer(scope: Scope, handler: string): Promise<{ address: string; far: Program }> {
  const port = await freePort();
  const body = `async def handler(ws, *_):\n${handler.trim().replace(/^/gm, '    ')}
async with websockets.serve(handler, '127.0.0.1', ${port}):
    await asyncio.Future()`;
  const far = start(scope, PYTHON, script(body));
  await untilListening(port);
  return { address: `ws://127.0.0.1:${port}/`, far };
}

const CONNECT = `websockets.connect(sys.argv[1], max_size=None, open_timeout=20)`;

it('a plain client gets its bytes back, and its close is an end to the command', async (t) => {
  const scope = new Scope(t);
  const end = `${scope.folder()}/end`;
  const link = await startLink(scope, 'ws://127.0.0.1:0/x', `exec:sh -c 'cat; touch ${end}'`);
  const body = `
data = sys.stdin.buffer.read()
async with ${CONNECT} as ws:
    async def send():
        for at in range(0, len(data), 65536):
            await ws.send(data[at:at + 65536])
    sending = asyncio.create_task(send())
    got = b''
    while len(got) < len(data):
        got += await ws.recv()
    await sending
    sys.stdout.buffer.write(got)`;
  const { stdout, stderr } = await python(scope, body, link.address);
  assert.ok(stdout.equals(sent), stderr);
  await link.untilStderr(/closed .*how=ended exit=0/);
  assert.ok(existsSync(end));
  await link.untilStderr(/a plain WebSocket peer/);
});

it('text messages of a plain client are bytes too', async (t) => {
  const scope = new Scope(t);
  const { address } = await startLink(scope, 'ws://127.0.0.1:0/x', 'exec:cat');
  const body = `
async with ${CONNECT} as ws:
    await ws.send('grüße')
    print((await ws.recv()).decode())`;
  assert.equal((await python(scope, body, address)).stdout.toString(), 'grüße\n');
});

it('a plain client gets all that a command said before it exited, and then a normal close', async (t) => {
  const scope = new Scope(t);
  const file = `${scope.folder()}/data`;
  writeFileSync(file, sent);
  const { address } = await startLink(scope, 'ws://127.0.0.1:0/x', `exec:cat ${file}`);
  const body = `
async with ${CONNECT} as ws:
    async for message in ws:
        sys.stdout.buffer.write(message)
    print(ws.close_code, file=sys.stderr)`;
  const { stdout, stderr } = await python(scope, body, address);
  assert.ok(stdout.equals(sent));
  assert.equal(stderr, '1000\n');
});

it('a plain client that dies is a cut: the command sees no end of input', async (t) => {
  const scope = new Scope(t);
  const end = `${scope.folder()}/end`;
  const link = await startLink(scope, 'ws://127.0.0.1:0/x', `exec:sh -c 'cat; touch ${end}'`);
  const body = `
async with ${CONNECT} as ws:
    await ws.send(b'half a backup')
    await ws.recv()
    os._exit(1)`;
  await python(scope, body, link.address);
  await link.untilStderr(/closed .*how=cut by=source .*reason=.*1006/);
  assert.equal(existsSync(end), false);
});

it('a client that speaks sluice.bytes.1 ends its direction with an empty message, and gets the late reply and its end', async (t) => {
  const scope = new Scope(t);
  const link = await startLink(scope, 'ws://127.0.0.1:0/x', `exec:sh -c 'sha256sum; sleep 0.3; echo done'`);
  const body = `
async with websockets.connect(sys.argv[1], subprotocols=['sluice.bytes.1']) as ws:
    await ws.send(sys.stdin.buffer.read(1000000))
    await ws.send(b'')
    while message := await ws.recv():
        sys.stdout.buffer.write(message)`;
  const { stdout, stderr } = await python(scope, body, link.address);
  assert.equal(stdout.toString(), `${sha256(sent.subarray(0, 1_000_000))}  -\ndone\n`, stderr);
  await link.untilStderr(/closed .*how=ended exit=0/);
});

it('a client that speaks sluice.bytes.1 and closes without its end is a cut', async (t) => {
  const scope = new Scope(t);
  const end = `${scope.folder()}/end`;
  const link = await startLink(scope, 'ws://127.0.0.1:0/x', `exec:sh -c 'cat; touch ${end}'`);
  const body = `
async with websockets.connect(sys.argv[1], subprotocols=['sluice.bytes.1']) as ws:
    await ws.send(b'half a backup')
    await ws.recv()`;
  await python(scope, body, link.address);
  await link.untilStderr(/closed .*how=cut by=source .*reason=.*closed before its end \(1000\)/);
  assert.equal(existsSync(end), false);
});

it('a plain server gets our bytes, and its answer and close are the end of connect: status 0', async (t) => {
  const scope = new Scope(t);
  const { address } = await pythonServer(
    scope,
    `
digest, count = hashlib.sha256(), 0
while count < ${sent.length}:
    message = await ws.recv()
    digest.update(message)
    count += len(message)
await ws.send(digest.hexdigest().encode())`,
  );
  const { child, ended } = startSluice(scope, ['connect', address]);
  child.stdin.write(sent); // and no end: plain WebSocket would close both directions
  const { code, stdout, stderr } = await ended;
  assert.equal(stdout, sha256(sent), stderr);
  assert.equal(code, 0, stderr);
});

it('a plain server sees our end as a normal close, after all our bytes', async (t) => {
  const scope = new Scope(t);
  const { address, far } = await pythonServer(
    scope,
    `
got = b''
async for message in ws:
    got += message
print(hashlib.sha256(got).hexdigest(), ws.close_code, flush=True)
os._exit(0)`,
  );
  const near = await run(scope, process.execPath, [COMMAND, 'connect', address], { input: sent });
  assert.equal((await far.ended).stdout.toString(), `${sha256(sent)} 1000\n`);
  assert.equal(near.code, 0, near.stderr);
});

it('a plain server that closes with an error, or dies, is a cut to connect: status 255', async (t) => {
  const scope = new Scope(t);
  for (const act of [`await ws.close(1011, 'disk full')`, 'os._exit(1)']) {
    const { address } = await pythonServer(scope, `await ws.send(b'half')\nawait ws.recv()\n${act}`);
    const { child, ended } = startSluice(scope, ['connect', address]);
    child.stdin.write('go');
    const { code, stdout, stderr } = await ended;
    assert.deepEqual([code, stdout], [255, 'half'], stderr);
    assert.match(stderr, act.includes('1011') ? /closed before its end \(1011 disk full\)/ : /1006|ECONNRESET/);
  }
});
