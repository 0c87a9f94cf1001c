/** What decides how much is on its way: pure, on a clock of the test. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Allowance, FIRST_CREDIT, Grant, GrowthBudget, LARGEST_CREDIT } from '../../../core/session/credit.ts';
import { FrameMemory, type KeptFrame } from '../../../core/session/frame-memory.ts';
import { FRAME, HEADER_BYTES } from '../../../core/session/frames.ts';
import { ReplayBuffer } from '../../../core/session/replay.ts';
import { RoundTripProbe } from '../../../core/session/round-trip-probe.ts';
import { FIRST_WINDOW, LARGEST_WINDOW, SendWindow } from '../../../core/session/window.ts';

const MIB = 1024 * 1024;

/** A sender that always has more, on a path of so many bytes per ms and ms there and back. The window after `rounds`. */
function saturate(window: SendWindow, rate: number, roundTrip: number, rounds: number, start = 0): number {
  let [now, sent] = [start, 0];
  for (let round = 0; round < rounds; round += 1) {
    const acknowledged = sent;
    window.sent(sent + 1, acknowledged, now);
    sent += window.size;
    window.blocked();
    now += Math.max(roundTrip, window.size / rate); // what is more than the path holds waits in a queue
    window.acknowledged(sent, now);
  }
  return window.size;
}

describe('the window', () => {
  it('grows to twice what a long path holds, in a few round trips', () => {
    const [rate, roundTrip] = [10 * 1024, 100];
    const size = saturate(new SendWindow(), rate, roundTrip, 12);
    const holds = rate * roundTrip;
    assert.ok(size >= 1.5 * holds && size <= 2.1 * holds, `${size} bytes; the path holds ${holds}`);
  });

  it('stays small on a short path, however fast', () => {
    const window = new SendWindow();
    window.seen(0.2, 0);
    assert.ok(saturate(window, MIB, 0.2, 100) <= FIRST_WINDOW);
  });

  it('is never larger than its limit', () => {
    assert.equal(saturate(new SendWindow(), 100 * MIB, 1_000, 100), LARGEST_WINDOW);
  });

  it('does not grow while the application is what holds it back', () => {
    const window = new SendWindow();
    for (let now = 0; now < 1_000; now += 100) {
      window.sent(now + 1, now, now);
      window.acknowledged(now + 100, now + 50);
    }
    assert.equal(window.size, FIRST_WINDOW);
  });

  it('shrinks again after a burst of acknowledgements has blown it up', () => {
    const window = new SendWindow();
    window.seen(1, 0);
    window.sent(1, 0, 0);
    window.blocked();
    window.acknowledged(10 * MIB, 1);
    const blown = window.size;
    assert.ok(blown > FIRST_WINDOW);
    assert.ok(saturate(window, 100 * 1024, 1, 60, 2) <= FIRST_WINDOW);
  });

  it('asks for a new round trip when it is old and holds it back, and follows a path that became longer', () => {
    const window = new SendWindow();
    window.seen(1, 0);
    window.sent(1, 0, 20_000);
    window.blocked();
    assert.equal(window.acknowledged(MIB, 20_050), true);
    window.measured(50, 20_100);
    assert.equal(window.roundTrip, 50);
    assert.ok(saturate(window, 100 * 1024, 50, 20, 20_100) > 5 * MIB);
  });
});

it('a probe counts the second answer, on the emptied path, and holds data until then', () => {
  let pings = 0;
  const probe = new RoundTripProbe(() => (pings += 1));
  probe.empty();
  assert.equal(probe.isHolding, true);
  assert.equal(probe.answered(500), undefined);
  assert.deepEqual(probe.answered(503), { roundTrip: 3, wasEmpty: true });
  assert.equal(probe.isHolding, false);
  probe.ask(600);
  assert.equal(probe.isHolding, false);
  assert.deepEqual(probe.answered(640), { roundTrip: 40, wasEmpty: false });
  assert.equal(pings, 3);
});

/** Uses a grant up again and again, fast. How much is granted at last. */
function useUp(grant: Grant): number {
  let granted = FIRST_CREDIT;
  for (let now = 0; now < 10; now += 1) {
    grant.spend(granted);
    granted = grant.renew(0, now, 1_000);
  }
  return granted;
}

describe('credit', () => {
  it('is granted anew when half of it is free, and grows while it is used up within two round trips', () => {
    const grant = new Grant(new GrowthBudget());
    grant.spend(FIRST_CREDIT / 2);
    assert.equal(grant.isDue(1), false);
    assert.equal(grant.isDue(0), true);
    assert.equal(grant.renew(0, 1_000, 10), FIRST_CREDIT / 2);
    grant.spend(FIRST_CREDIT);
    assert.equal(grant.renew(0, 1_005, 10), 2 * FIRST_CREDIT);
  });

  it('is not granted for what nobody has read', () => {
    const grant = new Grant(new GrowthBudget());
    grant.spend(FIRST_CREDIT);
    assert.equal(grant.isDue(FIRST_CREDIT), false);
    assert.throws(() => grant.spend(1), { name: 'ProtocolError' });
  });

  it('grows no further where all streams of a session together have enough, until one of them is over', () => {
    const budget = new GrowthBudget();
    const grants = Array.from({ length: 30 }, () => new Grant(budget));
    const sizes = grants.map(useUp);
    assert.equal(sizes[0], LARGEST_CREDIT);
    assert.equal(sizes.at(-1), FIRST_CREDIT);
    assert.equal(budget.left, 0);
    grants[0]?.release();
    assert.equal(budget.left, LARGEST_CREDIT - FIRST_CREDIT);
  });

  it('that nobody could grant is refused', () => {
    const allowance = new Allowance();
    assert.throws(() => allowance.add(2 * LARGEST_CREDIT), { name: 'ProtocolError' });
  });
});

const frameOf = (length: number): KeptFrame => ({ bytes: Buffer.alloc(length), slab: undefined });

describe('the memory of frames', () => {
  const data = [Buffer.alloc(40 * 1024, 1), Buffer.alloc(20 * 1024, 2)];
  const make = (memory: FrameMemory): KeptFrame => memory.make(FRAME.DATA, 1, data, 60 * 1024);

  it('holds header and payload side by side', () => {
    const { bytes } = make(new FrameMemory());
    assert.equal(bytes.length, HEADER_BYTES + 60 * 1024);
    assert.deepEqual(bytes.subarray(HEADER_BYTES), Buffer.concat(data));
  });

  it('is used again when the last frame in it has been released, and never before', () => {
    const memory = new FrameMemory();
    const frames = Array.from({ length: 4 }, () => make(memory));
    const { slab } = frames[0] as KeptFrame;
    assert.ok(frames.every((frame) => frame.slab === slab));
    for (const frame of frames.slice(0, 3)) memory.release(frame);
    assert.notEqual(make(memory).slab?.bytes, slab?.bytes);
    memory.release(frames[3] as KeptFrame);
    assert.equal(make(new FrameMemory()).slab?.bytes, slab?.bytes);
  });

  it('is of their own for small frames', () => {
    assert.equal(new FrameMemory().make(FRAME.DATA, 1, [Buffer.alloc(10)], 10).slab, undefined);
  });
});

describe('what is kept for replay', () => {
  it('is freed by whole frames only, and never twice', () => {
    const released: KeptFrame[] = [];
    const replay = new ReplayBuffer((frame) => released.push(frame));
    for (let count = 0; count < 5_000; count += 1) replay.append(frameOf(20));
    assert.equal(replay.acknowledge(21), false);
    for (let offset = 0; offset <= 4_000 * 20; offset += 20) assert.equal(replay.acknowledge(offset), true);
    assert.equal(replay.acknowledge(20), false);
    assert.equal(replay.size, 1_000 * 20);
    assert.equal([...replay.pending()].length, 1_000);
    assert.equal(released.length, 4_000);
    assert.equal(replay.isBoundary(replay.end), true);
    assert.equal(replay.isBoundary(replay.end + 20), false);
  });

  it('costs more than its bytes where frames are small', () => {
    const replay = new ReplayBuffer(() => {});
    for (let count = 0; count < 100; count += 1) replay.append(frameOf(13));
    assert.ok(replay.cost > 100 * 200);
  });
});
