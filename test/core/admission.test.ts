/** What is counted, and what of: sources, rates, penalties, arrivals, and what follows from the system's limits. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Admission, Arrivals } from '../../core/admission/admission.ts';
import { endIdle } from '../../core/admission/idle-sessions.ts';
import { admissionLimits } from '../../core/admission/limits.ts';
import { Penalties, Rate } from '../../core/admission/rates.ts';
import { sourceOf } from '../../core/admission/sources.ts';
import { RecordedLog } from '../support/gateway.ts';
import { Scope } from '../support/scope.ts';
import { network } from '../support/session-network.ts';

describe('a source', () => {
  const cases: readonly (readonly [peer: string, source: string | undefined])[] = [
    ['192.0.2.7:1', '192.0.2.0/24'],
    ['192.0.2.200:65535', '192.0.2.0/24'],
    ['[::ffff:192.0.2.7]:1', '192.0.2.0/24'],
    ['[2001:db8:1:2:3:4:5:6]:1', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2::6]:1', '2001:db8:1:2::/64'],
    ['[2001:db8::6]:1', '2001:db8:0:0::/64'],
    ['[fe80::1%eth0]:1', 'fe80:0:0:0::/64'],
    ['127.0.0.1:1', undefined],
    ['[::1]:1', undefined],
    ['[::ffff:127.0.0.1]:1', undefined],
    ['unix', undefined],
    ['nonsense', undefined],
  ];
  for (const [peer, source] of cases) it(`of ${peer} is ${source}`, () => assert.equal(sourceOf(peer, false), source));
  it('of this machine counts where it is set to', () => {
    assert.equal(sourceOf('127.0.0.1:1', true), '127.0.0.0/24');
    assert.equal(sourceOf('unix', true), undefined);
  });
  it('is found, or not, whatever the peer is called', () => {
    fc.assert(
      fc.property(fc.string(), (text) => void sourceOf(text, true)),
      { numRuns: 2_000 },
    );
  });
});

describe('a rate', () => {
  it('takes twice as many at once, and so many a second after that, for each by itself', () => {
    const rate = new Rate(10);
    const taken = (key: string, at: number, tries: number): number =>
      Array.from({ length: tries }, () => rate.take(key, at)).filter(Boolean).length;
    assert.equal(taken('a', 0, 50), 20);
    assert.equal(taken('b', 0, 50), 20);
    assert.equal(taken('a', 1_000, 50), 10);
    assert.equal(taken('a', 60_000, 50), 20);
  });
});

describe('penalties', () => {
  it('bar from the third failure on, until all of them are over, and at most for ten minutes', () => {
    const penalties = new Penalties();
    const barred: boolean[] = [];
    for (let count = 0; count < 3; count += 1) {
      penalties.add('a', 0);
      barred.push(penalties.isBarred('a', 0));
    }
    assert.deepEqual(barred, [false, false, true]);
    assert.equal(penalties.isBarred('b', 0), false);
    assert.equal(penalties.isBarred('a', 14_999), true);
    assert.equal(penalties.isBarred('a', 15_000), false);
    for (let count = 0; count < 1_000; count += 1) penalties.add('a', 20_000);
    assert.equal(penalties.isBarred('a', 20_000 + 599_999), true);
    assert.equal(penalties.isBarred('a', 20_000 + 600_000), false);
  });
});

const peer = (n: number): string => `192.0.${n}.7:1`;
function desk(given: Parameters<typeof admissionLimits>[0] = {}) {
  const log = new RecordedLog();
  const admission = new Admission(log.asLog(), admissionLimits(given, 100_000));
  return { admission, log, plain: new Arrivals(false), costly: new Arrivals(true) };
}

describe('arriving', () => {
  it('is limited by source, and the others notice nothing', () => {
    const { admission, plain } = desk();
    const same = Array.from({ length: 12 }, () => admission.arrive(plain, '192.0.2.7:1', () => {}));
    assert.equal(same.filter(Boolean).length, 10);
    assert.ok(admission.arrive(plain, '192.0.3.7:1', () => {}));
    admission.settle(same[0]);
    assert.ok(admission.arrive(plain, '192.0.2.9:1', () => {}));
    for (const one of same) one?.release();
    assert.deepEqual(Object.values(admission.refused), [2]);
  });

  it('cuts who has waited longest where a door is full, and never a newcomer', () => {
    const { admission, plain } = desk({ arriving: 3 });
    const cut: number[] = [];
    const all = [1, 2, 3, 4, 5].map((n) => admission.arrive(plain, peer(n), () => cut.push(n)));
    assert.equal(all.filter(Boolean).length, 5);
    assert.deepEqual(cut, [1, 2]);
    for (const one of all) one?.release();
  });

  it('to a handshake is limited in time, of all and by source', () => {
    const { admission, costly } = desk({ handshakes: 50, arriving: 1000 });
    const taken = (from: (n: number) => string, tries: number): number =>
      Array.from({ length: tries }, (_, n) => {
        const one = admission.arrive(costly, from(n), () => {});
        one?.release();
        return one;
      }).filter(Boolean).length;
    assert.equal(
      taken(() => '192.0.2.7:1', 60),
      40,
    );
    assert.equal(
      taken((n) => peer(n), 100),
      60,
    );
  });

  it('is refused to who has shown three times what is nobody’s', () => {
    const { admission, plain } = desk();
    for (let count = 0; count < 3; count += 1) admission.failed('192.0.2.7:1');
    assert.equal(
      admission.arrive(plain, '192.0.2.8:1', () => {}),
      undefined,
    );
    assert.ok(admission.arrive(plain, '127.0.0.1:1', () => {}));
    for (let count = 0; count < 3; count += 1) admission.failed('127.0.0.1:1');
    assert.ok(admission.arrive(plain, '127.0.0.1:1', () => {}));
  });

  it('is refused where no descriptors are left, until one is gone', () => {
    const { admission, plain } = desk({ descriptors: 20, connections: 1000 });
    const held = [];
    for (let one = admission.arrive(plain, 'unix', () => {}); one; one = admission.arrive(plain, 'unix', () => {})) {
      admission.settle(one);
      held.push(one);
    }
    assert.ok(held.length >= 2 && held.length < 20);
    held[0]?.release();
    held[0]?.release();
    assert.ok(admission.arrive(plain, 'unix', () => {}));
    assert.equal(
      admission.arrive(plain, 'unix', () => {}),
      undefined,
    );
  });

  it('tells the first refusal of a kind, and counts the others', () => {
    const { admission, log, plain } = desk({ arrivingPerSource: 1 });
    for (let count = 0; count < 50; count += 1) admission.arrive(plain, '192.0.2.7:1', () => {});
    assert.equal(log.lines.filter(({ message }) => message === 'connection refused').length, 1);
    assert.deepEqual(Object.values(admission.refused), [49]);
  });
});

it('what the system cannot hold is never promised', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 20 }), fc.integer({ min: 1, max: 10 ** 6 }), (files, connections) => {
      const limits = admissionLimits({ connections }, files);
      assert.ok(limits.connections >= 1 && limits.commands >= 1);
      if (files > 200) assert.ok(limits.connections * 2 + limits.commands * 4 <= files - 64);
    }),
  );
});

it('an identity has its own limits, and a refusal tells which', () => {
  const limits = admissionLimits(
    { connectionsPerIdentity: 2, commandsPerIdentity: 1, commandsWaiting: 0, connections: 4, ratePerIdentity: 3 },
    100_000,
  );
  const admission = new Admission(new RecordedLog().asLog(), limits);
  const enter = (name: string, isCommand = false) => admission.enter({ name }, isCommand, 'unix').leave;
  const leave = enter('laptop', true);
  assert.throws(() => enter('laptop', true), { code: 'SLUICE_BUSY', message: /1 commands of this identity run/ });
  const second = enter('laptop');
  assert.throws(() => enter('laptop'), { code: 'SLUICE_BUSY', message: /2 connections of this identity are open/ });
  enter('desk', true)();
  leave();
  enter('laptop', true)();
  enter('desk');
  second();
  for (let count = 0; count < 3; count += 1) enter('laptop')();
  assert.throws(() => enter('laptop'), { code: 'SLUICE_BUSY', message: /more than 3 new connections a second/ });
  admission.enter(undefined, false, 'unix');
  admission.enter(undefined, false, 'unix');
  admission.enter(undefined, false, 'unix');
  assert.throws(() => admission.enter(undefined, false, 'unix'), { message: /4 connections are open/ });
});

it('an identity may have limits of its own, which count instead of those of all', () => {
  const own = new Map([['laptop', { connectionsPerIdentity: 3, commandsPerIdentity: 2, ratePerIdentity: 4 }]]);
  const limits = admissionLimits(
    { connectionsPerIdentity: 1, commandsPerIdentity: 1, ratePerIdentity: 2, commandsWaiting: 0, connections: 10 },
    100_000,
  );
  const admission = new Admission(new RecordedLog().asLog(), limits, (name) => own.get(name));
  const enter = (name: string, isCommand = false) => admission.enter({ name }, isCommand, 'unix').leave;
  const leave = [enter('laptop', true), enter('laptop', true)];
  assert.throws(() => enter('laptop', true), { message: /^2 commands of this identity/ });
  leave.push(enter('laptop'));
  assert.throws(() => enter('laptop'), { message: /^3 connections of this identity/ });
  for (const one of leave) one();
  for (let count = 0; count < 5; count += 1) enter('laptop')();
  assert.throws(() => enter('laptop'), { message: /^more than 4 new connections a second/ });
  for (let count = 0; count < 4; count += 1) enter('desk', true)();
  assert.throws(() => enter('desk'), { message: /^more than 2 new connections a second/ });
  assert.equal(admission.limitsOf('laptop').streamsPerSession, 256);
  own.clear();
  assert.equal(admission.limitsOf('laptop').commandsPerIdentity, 1);
});

it('a session without streams ends after a while, and one with a stream does not', async (test) => {
  const scope = new Scope(test);
  const net = network({ onSession: (session) => endIdle(session, 300) });
  scope.defer(() => net.listener.end(new Error('test over')));
  const idle = await net.session();
  const busy = await net.session();
  const { stream, opened } = busy.session.open({ service: 'x', metadata: {} });
  stream.on('error', () => {});
  await opened;
  await idle.ended;
  assert.equal(busy.session.isOver, false);
  busy.session.end(new Error('test over'));
  await busy.ended;
});
