/**
 * Much data both ways at once, while carriers are cut again and again: what arrives is what was sent, and what is kept for
 * replay stays within its bound. Small here; a GiB each way, slow cuts and rates with `npm run soak`.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { dialSession } from '../../../core/session/dialer.ts';
import { MAX_PAYLOAD } from '../../../core/session/frames.ts';
import { SessionListener } from '../../../core/session/listener.ts';
import type { Session } from '../../../core/session/session.ts';
import type { SessionStream } from '../../../core/session/stream.ts';
import { FIRST_WINDOW, LARGEST_WINDOW } from '../../../core/session/window.ts';
import { chaosProxy, withSeed, type Chaos } from '../../support/chaos.ts';
import { RecordedLog } from '../../support/gateway.ts';
import { Scope, assertNothingLeaks } from '../../support/scope.ts';
import { network } from '../../support/session-network.ts';

assertNothingLeaks();

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const isSoak = Boolean(process.env['SLUICE_SOAK']);

/** What went through one direction. */
interface Passed {
  readonly bytes: number;
  readonly sha256: string;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const noise = randomBytes(4 * MIB);

/** Writes until both are true: so many bytes, and enough cuts. Pieces of all sizes. */
async function send(
  stream: SessionStream,
  random: () => number,
  isEnough: (bytes: number) => boolean,
): Promise<Passed> {
  const hash = createHash('sha256');
  let bytes = 0;
  while (!isEnough(bytes)) {
    const size = 1 + Math.floor(random() ** 3 * 256 * 1024);
    const at = Math.floor(random() * (noise.length - size));
    const chunk = noise.subarray(at, at + size);
    hash.update(chunk);
    bytes += size;
    if (!stream.write(chunk)) await once(stream, 'drain');
    await turn(); // in memory all could go without the event loop, and no clock would run
  }
  stream.end();
  return { bytes, sha256: hash.digest('hex') };
}

async function receive(stream: SessionStream, each: () => void): Promise<Passed> {
  const hash = createHash('sha256');
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
    each();
  });
  await once(stream, 'end');
  return { bytes, sha256: hash.digest('hex') };
}

interface Both {
  readonly near: Session;
  readonly far: Session;
  /** The far end of the next stream that is opened. */
  arrived(): Promise<SessionStream>;
}

/** Sends both ways at once; resolves with the bytes of both directions and the ms that it took. */
async function exchange({ near, far, arrived }: Both, seed: number, isEnough: (bytes: number) => boolean) {
  const random = seededBy(seed);
  const since = performance.now();
  const arrives = arrived();
  const { stream: here } = near.open({ service: 'default', metadata: {} });
  const there = await arrives;
  const look = (): void => {
    for (const one of [near, far]) {
      const most = one.window + 256 * 1024 + MAX_PAYLOAD;
      assert.ok(one.unacknowledged <= most, `${one.unacknowledged} bytes are kept, and ${one.window} may be`);
      assert.ok(one.window <= LARGEST_WINDOW);
    }
  };
  const [sentFar, sentNear, gotFar, gotNear] = await Promise.all([
    send(here, random, isEnough),
    send(there, random, isEnough),
    receive(there, look),
    receive(here, look),
  ]);
  assert.deepEqual([gotFar, gotNear], [sentFar, sentNear]);
  return { bytes: sentFar.bytes + sentNear.bytes, milliseconds: performance.now() - since };
}

const seededBy = (seed: number): (() => number) => {
  let state = seed;
  return () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) / 2 ** 32;
};

/** MB/s, both ways together. */
async function rateOf(pair: Both): Promise<number> {
  const { bytes, milliseconds } = await exchange(pair, 1, (sent) => sent > GIB);
  return bytes / milliseconds / 1000;
}

/** A session over wires in memory. */
async function inMemory(scope: Scope, chaos: Chaos) {
  const waiting: ((stream: SessionStream) => void)[] = [];
  const net = network({ onOpen: (_request, { accept }) => waiting.shift()?.(accept({ exit: false })) }, (dial) => ({
    ...chaos,
    seed: dial,
  }));
  const { session: near } = await net.session();
  const [far] = net.listener.sessions();
  scope.defer(() => near.end(new Error('the test is over')));
  scope.defer(() => net.listener.end(new Error('the test is over')));
  const arrived = (): Promise<SessionStream> => new Promise((resolve) => waiting.push(resolve));
  return { net, near, far: far as Session, arrived, cuts: () => net.wires.filter(({ isCut }) => isCut).length };
}

/** A session over TCP, through a proxy that cuts. */
async function overTcp(scope: Scope, chaos: Chaos) {
  const waiting: ((stream: SessionStream) => void)[] = [];
  const listener = new SessionListener({
    admit: () => ({}),
    detachedLife: 30_000,
    maxDetached: 10,
    onOpen: (_request, { accept }) => waiting.shift()?.(accept({ exit: false })),
    log: new RecordedLog().asLog(),
  });
  const server = createServer({ noDelay: true }, (stream) => {
    listener.accept({ stream, peer: { address: 'tcp' } }).catch(() => {});
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await chaosProxy((server.address() as AddressInfo).port, () => chaos);
  const dial = async (): Promise<{ stream: ReturnType<typeof connect>; peer: { address: string } }> => {
    const stream = connect({ port: proxy.port, host: '127.0.0.1', noDelay: true });
    await once(stream, 'connect');
    return { stream, peer: { address: 'tcp' } };
  };
  const { session: near } = await dialSession({ dial, detachedLife: 30_000 }, new AbortController().signal);
  const [far] = listener.sessions();
  scope.defer(() => {
    server.close();
    proxy.close();
  });
  scope.defer(() => {
    near.end(new Error('the test is over'));
    listener.end(new Error('the test is over'));
  });
  const arrived = (): Promise<SessionStream> => new Promise((resolve) => waiting.push(resolve));
  return { near, far: far as Session, arrived, cuts: () => proxy.wires.filter(({ isCut }) => isCut).length };
}

describe('data both ways at once', () => {
  for (const every of [50, 20]) {
    it(`goes through cuts ${every} ms after each resume, in memory`, async (t) => {
      await withSeed(async (seed) => {
        const pair = await inMemory(new Scope(t), { cutAfterMs: every });
        const [bytes, cuts] = isSoak ? [GIB, 50] : [24 * MIB, 8];
        const { bytes: moved, milliseconds } = await exchange(
          pair,
          seed,
          (sent) => sent > bytes && pair.cuts() >= cuts,
        );
        t.diagnostic(`${pair.cuts()} cuts, ${(moved / milliseconds / 1000).toFixed(0)} MB/s both ways together`);
      });
    });
  }

  for (const every of isSoak ? [1000, 200] : [200]) {
    it(`goes through cuts every ${every} ms over tcp`, async (t) => {
      await withSeed(async (seed) => {
        const pair = await overTcp(new Scope(t), { cutAfterMs: every });
        const [bytes, cuts] = isSoak ? [GIB, 10] : [48 * MIB, 4];
        const { bytes: moved, milliseconds } = await exchange(
          pair,
          seed,
          (sent) => sent > bytes && pair.cuts() >= cuts,
        );
        t.diagnostic(`${pair.cuts()} cuts, ${(moved / milliseconds / 1000).toFixed(0)} MB/s both ways together`);
      });
    });
  }

  it('goes through a wire that delivers byte by byte, and ends without a word', async (t) => {
    await withSeed(async (seed) => {
      const pair = await inMemory(new Scope(t), { pieces: 3, cutAfterMs: 20, how: 'fin', seed });
      await exchange(pair, seed, (sent) => sent > 300_000 && pair.cuts() >= 2);
    });
  });

  it('makes at least half the rate of an uncut carrier when it is cut every 200 ms', { skip: !isSoak }, async (t) => {
    const uncut = await overTcp(new Scope(t), {});
    const cut = await overTcp(new Scope(t), { cutAfterMs: 200 });
    const rates = [await rateOf(uncut), await rateOf(cut)] as const;
    t.diagnostic(`${rates.map((rate) => rate.toFixed(0)).join(' MB/s uncut, ')} MB/s cut`);
    assert.ok(rates[1] >= rates[0] / 2);
  });
});

it('what is kept for replay reaches its bound where nothing is acknowledged, and goes no further', async (t) => {
  const pair = await inMemory(new Scope(t), {});
  const arrives = pair.arrived();
  const { stream } = pair.near.open({ service: 'default', metadata: {} });
  const far = await arrives;
  pair.near.open({ service: 'default', metadata: {} }); // a stream that is alone may have more on its way
  pair.net.wires[0]?.blackhole();
  const hash = createHash('sha256');
  for (let count = 0; count < 16; count += 1) {
    const chunk = noise.subarray(count * 65_000, (count + 1) * 65_000);
    hash.update(chunk);
    stream.write(chunk);
    await turn();
  }
  stream.end();
  const kept = pair.near.unacknowledged;
  assert.ok(kept >= FIRST_WINDOW - 4096 && kept <= FIRST_WINDOW + 2 * MAX_PAYLOAD, `${kept} bytes are kept`);
  const received = receive(far, () => {});
  pair.net.cut();
  assert.equal((await received).sha256, hash.digest('hex'));
});
