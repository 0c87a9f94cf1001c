import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { soon } from '../bench.ts';
import type { Check, Promised } from '../check.ts';
import { receive } from '../ends.ts';

/** A command that answers what it is sent, on the accepted socket itself. */
const offers: Check = {
  title: 'offers the accepted socket untouched, and a command can take it over',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    const { handle } = far;
    assert.ok(handle instanceof Socket, 'it claims "hand-off", and what it accepted has no "handle"');
    assert.ok(handle.isPaused() && handle.bytesRead === 0, 'the "handle" must be paused, and nothing read from it');
    const answer = receive(near.stream);
    near.stream.end('by the command');
    const child = spawn('cat', { stdio: [handle, handle, 'ignore'] });
    await soon(once(child, 'exit'), 'the exit of the command');
    handle.destroy();
    assert.deepEqual((await soon(answer, 'its answer')).bytes.toString(), 'by the command');
  },
};

const absent: Check = {
  title: 'is not claimed, and no socket is offered',
  async run(subject, bench) {
    const { far } = await subject.open(bench);
    assert.equal(far.handle, undefined, '"hand-off" belongs to its capabilities');
  },
};

export const handOff: Promised = {
  name: 'hand-off',
  checksFor(subject) {
    if (!subject.listens || !subject.dials) return []; // what adopts runs a command, and has tests of its own
    return [subject.has('hand-off') ? offers : absent];
  },
};
