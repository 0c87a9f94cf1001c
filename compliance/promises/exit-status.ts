import assert from 'node:assert/strict';
import { soon } from '../bench.ts';
import type { Check, Promised } from '../check.ts';
import { cut } from '../ends.ts';

const carries: Check = {
  title: 'reaches the dialed end after both directions have ended',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    assert.ok(near.exit, 'it claims "exit-status", and what it dialed has no "exit"');
    near.stream.resume().end();
    far.stream.resume().end();
    if (subject.listens) {
      assert.ok(far.exited, 'it claims "exit-status", and what it accepted has no "exited"');
      far.exited({ code: 7 });
    }
    const status = await soon(near.exit, 'an exit status');
    assert.deepEqual(status, { code: subject.listens ? 7 : 0 });
  },
};

const settles: Check = {
  title: 'does not keep anybody waiting after a cut',
  async run(subject, bench) {
    const { near } = await subject.open(bench);
    cut(near);
    await soon(Promise.resolve(near.exit), 'the settling of "exit"', 8_000);
  },
};

const absent: Check = {
  title: 'is not claimed, and there is none',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    assert.ok(near.exit === undefined && far.exited === undefined, '"exit-status" belongs to its capabilities');
  },
};

export const exitStatus: Promised = {
  name: 'exit-status',
  checksFor: (subject) => (subject.dials ? (subject.has('exit-status') ? [carries, settles] : [absent]) : []),
};
