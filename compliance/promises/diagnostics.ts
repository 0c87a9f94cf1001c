import assert from 'node:assert/strict';
import type { Readable } from 'node:stream';
import { soon } from '../bench.ts';
import type { Check, Promised } from '../check.ts';

const line = async (diagnostics: Readable): Promise<string> =>
  new Promise((resolve) => diagnostics.once('data', (chunk: Buffer) => resolve(chunk.toString())));

const carries: Check = {
  title: 'reach the dialed end as the accepted one wrote them',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    assert.ok(near.diagnostics, 'it claims "diagnostics", and what it dialed has none');
    const read = line(near.diagnostics);
    if (!subject.listens) return; // what the far end says is not ours
    assert.ok(far.diagnostics, 'it claims "diagnostics", and what it accepted has none');
    far.diagnostics.write('a line\n');
    assert.equal(await soon(read, 'the arrival of a line'), 'a line\n');
  },
};

const absent: Check = {
  title: 'are not claimed, and there are none',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    assert.equal(near.diagnostics ?? far.diagnostics, undefined, '"diagnostics" belongs to its capabilities');
  },
};

export const diagnostics: Promised = {
  name: 'diagnostics',
  checksFor: (subject) => (subject.dials ? [subject.has('diagnostics') ? carries : absent] : []),
};
