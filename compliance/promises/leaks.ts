import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bench, soon } from '../bench.ts';
import type { Check, Promised } from '../check.ts';
import { closed, cut, receive } from '../ends.ts';
import type { Subject } from '../subject.ts';

interface Held {
  readonly descriptors: number;
  /** Timers, sockets, children, …: what keeps the process. */
  readonly resources: number;
  /** Listeners of the process itself. */
  readonly listeners: number;
}

function held(): Held {
  let descriptors = 0;
  try {
    descriptors = readdirSync('/proc/self/fd').length;
  } catch {
    // there is no such folder on this system
  }
  const names = process.eventNames();
  return {
    descriptors,
    resources: process.getActiveResourcesInfo().filter((name) => name !== 'Immediate').length,
    listeners: names.reduce((sum, name) => sum + process.listenerCount(name), 0),
  };
}

/** A connection that ends, one that is cut, and a dial that reaches nobody. */
async function round(subject: Subject): Promise<void> {
  const bench = new Bench();
  try {
    const { near, far } = await subject.open(bench);
    const ended = [receive(near.stream), receive(far.stream)];
    for (const { stream } of [near, far]) stream.end('x');
    await soon(Promise.all(ended), 'an end');
    near.stream.destroy(); // as the core frees both when all is over
    far.stream.destroy();
    await soon(closed(near.stream), '"close"');
    const second = await subject.open(bench);
    second.far.stream.resume();
    cut(second.near);
    await soon(closed(second.near.stream), '"close"');
    const lost = await subject.deserted(bench);
    await lost?.().catch(() => {});
  } finally {
    await bench.close();
  }
}

const nothing: Check = {
  title: 'no descriptor, timer or listener after connections that ended, were cut, or never came to be',
  async run(subject) {
    await round(subject); // what is loaded or opened once stays
    const before = held();
    for (let turn = 0; turn < 4; turn += 1) await round(subject);
    let after = held();
    const isMore = (): boolean =>
      after.descriptors > before.descriptors + 2 ||
      after.resources > before.resources + 2 ||
      after.listeners > before.listeners;
    for (const until = performance.now() + 4_000; isMore() && performance.now() < until; after = held())
      await sleep(20);
    assert.ok(!isMore(), `before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
  },
};

export const leaks: Promised = { name: 'leaks', checksFor: ({ dials }) => (dials ? [nothing] : []) };
