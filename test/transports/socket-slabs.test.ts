import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { LARGEST_BLOCK, takeBlock } from '../../transports/block-pool.ts';
import { LentBlock, giveBack } from '../../transports/lent-blocks.ts';
import { readInSlabs } from '../../transports/socket-slabs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { seededBytes } from '../support/tree.ts';

assertNothingLeaks();

/** Two ends of one connection; the second was accepted, and nobody has read from it. */
async function socketPair(scope: Scope): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  scope.defer(() => server.close());
  await once(server, 'listening');
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [[Socket], unknown];
  return [near, far];
}

const sent = seededBytes('slabs', 3_000_000);

for (const [how, spoil] of [
  ['in slabs', () => {}],
  ['as data, where something was read before', (socket: Socket) => socket.unshift(Buffer.from('early '))],
] as const)
  it(`all bytes come in their order, and before the end: ${how}`, async (t) => {
    const [near, far] = await socketPair(new Scope(t));
    spoil(far);
    const got: Buffer[] = [];
    readInSlabs(far, (bytes) => got.push(bytes));
    far.once('end', () => got.push(Buffer.from(' end')));
    far.resume();
    near.end(sent);
    await once(far, 'close');
    const early = how === 'in slabs' ? '' : 'early ';
    assert.ok(Buffer.concat(got).equals(Buffer.concat([Buffer.from(early), sent, Buffer.from(' end')])));
  });

it('a pause stops the reads, and what was handed on stays as it is', async (t) => {
  const [near, far] = await socketPair(new Scope(t));
  const got: Buffer[] = [];
  readInSlabs(far, (bytes) => {
    got.push(bytes);
    far.pause();
    setImmediate(() => far.resume());
  });
  far.resume();
  near.end(sent);
  await once(far, 'close');
  assert.ok(got.length > 10);
  assert.ok(Buffer.concat(got).equals(sent));
});

it('a few bytes do not keep a slab', async (t) => {
  const [near, far] = await socketPair(new Scope(t));
  const got: Buffer[] = [];
  readInSlabs(far, (bytes) => got.push(bytes));
  far.resume();
  near.setNoDelay(true);
  for (const word of ['one', 'two', 'three']) {
    near.write(word);
    while (!String(Buffer.concat(got)).endsWith(word)) await new Promise(setImmediate);
  }
  for (const { buffer } of got) assert.ok(buffer.byteLength < 128 * 1024);
  near.end();
  await once(far, 'close');
});

/** Reads all that is sent; resolves with the pieces, and how many blocks they stood in. */
async function readAll(t: TestContext, keep: (piece: Buffer, at: number) => boolean): Promise<[Buffer[], number]> {
  const [near, far] = await socketPair(new Scope(t));
  const [got, blocks]: [Buffer[], Set<unknown>] = [[], new Set()];
  const slabs = readInSlabs(far, (bytes) => {
    blocks.add(bytes.buffer);
    got.push(keep(bytes, got.length) ? bytes : Buffer.from(bytes));
    if (got.at(-1) !== bytes) giveBack(bytes);
  });
  slabs.lend();
  far.resume();
  near.end(sent);
  await once(far, 'close');
  return [got, blocks.size];
}

describe('memory that is lent', () => {
  it('is used again when it has come back', async (t) => {
    const [got, blocks] = await readAll(t, (piece) => piece.length < 64); // which are none
    assert.ok(Buffer.concat(got).equals(sent));
    assert.ok(blocks < sent.length / LARGEST_BLOCK / 2, `${blocks} blocks for ${sent.length} bytes`);
  });

  it('is not used again while any piece of it is out', async (t) => {
    const [got] = await readAll(t, (_piece, at) => at % 3 === 0);
    assert.ok(Buffer.concat(got).equals(sent));
  });

  it('comes back in any pieces', () => {
    const block = new LentBlock();
    const { bytes } = block;
    block.lend(1000);
    block.leave();
    giveBack(bytes.subarray(0, 400));
    giveBack(bytes.subarray(400, 999));
    assert.notEqual(takeBlock(LARGEST_BLOCK), bytes);
    giveBack(bytes.subarray(999, 1000));
    assert.equal(takeBlock(LARGEST_BLOCK), bytes);
  });
});
