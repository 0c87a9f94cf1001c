import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { it, type TestContext } from 'node:test';
import { LARGEST_BLOCK, giveBack, takeBlock } from '../../transports/block-pool.ts';
import { readInto } from '../../transports/socket-reads.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

/** A socket that is read, and what its reader was asked for. */
async function readSocket(t: TestContext) {
  const scope = new Scope(t);
  const server = createServer().listen(0, '127.0.0.1');
  scope.defer(() => server.close());
  await once(server, 'listening');
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  scope.defer(() => near.destroy());
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [[Socket], unknown];
  const calls: string[] = [];
  const counts = { sent: 0, got: 0 };
  const say = (call: string, count: number): boolean => {
    counts.got += count;
    if (calls.at(-1) !== call) calls.push(call);
    return true;
  };
  const isRead = readInto(far, {
    copy: (piece) => say('copy', piece.length),
    room: () => (say('room', 0), Buffer.alloc(256 * 1024)),
    filled: (count) => say('filled', count),
    left: () => say('left', 0),
    rested: () => say('rested', 0),
  });
  assert.ok(isRead);
  far.resume();
  const send = async (count: number): Promise<void> => {
    counts.sent += count;
    near.write(Buffer.alloc(count));
    while (counts.got < counts.sent) await new Promise(setImmediate);
  };
  const close = async (): Promise<void> => {
    near.end();
    await once(far, 'close');
  };
  return { calls, send, close };
}

it('who sends little by little has no memory of its own', async (t) => {
  const { calls, send, close } = await readSocket(t);
  for (let count = 0; count < 20; count += 1) await send(1_000);
  await close();
  assert.deepEqual(calls, ['copy', 'rested']);
});

it('who sends much has memory of its own until it is silent, and again when it goes on', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { calls, send, close } = await readSocket(t);
  const look = (): void => t.mock.timers.tick(1_000);
  for (let round = 0; round < 2; round += 1) {
    while (calls.at(-1) !== 'room') await send(64 * 1024);
    look();
    assert.equal(calls.at(-1), 'room');
    look();
    assert.deepEqual(calls.slice(-2), ['left', 'rested']);
    await send(10);
    assert.equal(calls.at(-1), 'copy');
  }
  await close();
});

it('a block is no larger than it must be, and is used again', () => {
  for (const [bytes, size] of [
    [1, 16],
    [16 * 1024 + 1, 64],
    [1024 * 1024, 256],
  ] as const) {
    const block = takeBlock(bytes);
    assert.equal(block.length, size * 1024);
    giveBack(block);
    assert.equal(takeBlock(bytes), block);
  }
  assert.equal(LARGEST_BLOCK, 256 * 1024);
});
