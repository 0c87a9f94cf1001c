import assert from 'node:assert/strict';
import { soon } from '../bench.ts';
import type { Check, Promised } from '../check.ts';
import { receiveSome, send } from '../ends.ts';

const tells: Check = {
  title: 'tells the address that it has bound',
  async run(subject, bench) {
    const { listener } = await subject.listen(bench);
    assert.match(listener.address, /^[a-z][a-z0-9+.-]*:/, '"address" of the listener must be an address');
    assert.ok([undefined, 'local', 'network'].includes(listener.reach), '"reach" must be local, network or absent');
  },
};

const many: Check = {
  title: 'accepts several connections at once, each of them once',
  async run(subject, bench) {
    const { dial, next, accepted } = await subject.listen(bench);
    const near = await Promise.all([1, 2, 3].map(() => dial()));
    const far = await Promise.all([1, 2, 3].map(() => next()));
    for (const [at, { stream }] of near.entries()) await send(stream, Buffer.from([at]));
    const seen = await Promise.all(far.map(async ({ stream }) => (await soon(receiveSome(stream, 1), 'a byte'))[0]));
    assert.deepEqual(
      seen.toSorted((a = 0, b = 0) => a - b),
      [0, 1, 2],
      'each connection must carry its own bytes',
    );
    assert.equal(accepted.length, 3, 'one "accept" for each connection');
    const faults = bench.lines.filter(({ message }) => message === 'a plugin breaks the contract');
    assert.deepEqual(
      faults.map(({ fields }) => fields['what']),
      [],
    );
  },
};

const stops: Check = {
  title: 'stops at its signal, and what it has accepted lives on',
  async run(subject, bench) {
    const { dial, next, stop } = await subject.listen(bench);
    const [near, far] = await Promise.all([dial(), next()]);
    await soon(stop(), 'after the signal, "closed"');
    await send(near.stream, Buffer.from('still there'));
    assert.equal(
      (await soon(receiveSome(far.stream, 11), 'a byte after the listener stopped')).toString(),
      'still there',
    );
  },
};

const acceptsNobody: Check = {
  title: 'accepts nobody after that',
  async run(subject, bench) {
    const { dial, stop, accepted } = await subject.listen(bench);
    await soon(stop(), '"closed"', 2_000).catch(() => {});
    await soon(dial(), 'an answer', 3_000).catch(() => {});
    assert.equal(accepted.length, 0, 'it called "accept" after it was stopped');
  },
};

const again: Check = {
  title: 'can listen again where it has stopped',
  async run(subject, bench) {
    const place = subject.sourceAt(bench);
    const first = await subject.listen(bench, place);
    await soon(first.stop(), '"closed"', 2_000).catch(() => {});
    const { dial, next } = await subject.listen(bench, place);
    await Promise.all([dial(), next()]);
  },
};

export const listen: Promised = {
  name: 'listen',
  checksFor: (subject) => (subject.listens && subject.dials ? [tells, many, stops, acceptsNobody, again] : []),
};
