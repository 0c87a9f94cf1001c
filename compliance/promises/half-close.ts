import assert from 'node:assert/strict';
import { soon } from '../bench.ts';
import type { Check, Promised } from '../check.ts';
import { digest, ending, payload, receive, send } from '../ends.ts';
import type { Pair } from '../subject.ts';

const reply = payload('reply', 1024 * 1024);
const there = ({ near, far }: Pair) => ({ first: near.stream, second: far.stream });
const back = ({ near, far }: Pair) => ({ first: far.stream, second: near.stream });

/** One ends; when the other has been told so, it answers. Resolves with what of the answer arrived. */
async function late({
  first,
  second,
}: ReturnType<typeof there>): Promise<{ asked: string; answer: string; how: string }> {
  const answered = receive(first);
  const asked = receive(second);
  await send(first, Buffer.from('question'));
  first.end();
  const { bytes } = await soon(asked, 'the arrival of an end');
  await send(second, reply);
  if (second.writable) second.end();
  const { bytes: answer, how } = await soon(answered, 'the arrival of the answer, or a cut', 20_000);
  return { asked: bytes.toString(), answer: digest(answer), how };
}

const works = (title: string, way: typeof there): Check => ({
  title,
  async run(subject, bench) {
    const pair = await subject.open(bench);
    assert.deepEqual(await late(way(pair)), { asked: 'question', answer: digest(reply), how: 'end' });
    await soon(Promise.all([ending(pair.near.stream), ending(pair.far.stream)]), 'the end of both');
  },
});

const fails: Check = {
  title: 'is not claimed, and an end of one direction ends the other',
  async run(subject, bench) {
    const outcomes = [];
    for (const way of [there, back]) outcomes.push(await late(way(await subject.open(bench))));
    const isCarried = outcomes.every(({ answer, how }) => answer === digest(reply) && how === 'end');
    assert.ok(!isCarried, 'a late answer arrives both ways: "half-close" belongs to its capabilities');
  },
};

export const halfClose: Promised = {
  name: 'half-close',
  checksFor(subject) {
    if (!subject.dials) return [];
    if (!subject.has('half-close')) return [fails];
    return [works('lets the accepted end answer late', there), works('lets the dialed end answer late', back)];
  },
};
