import assert from 'node:assert/strict';
import { soon } from '../bench.ts';
import type { Check, Promised } from '../check.ts';

const names: Check = {
  title: 'names the peer',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    for (const { peer } of [near, far]) assert.ok(peer.address !== '', '"peer.address" must say something for the log');
  },
};

const refuses: Check = {
  title: 'rejects with an Error where nobody is',
  async run(subject, bench) {
    const dial = await subject.deserted(bench);
    const outcome = await soon(
      (dial as NonNullable<typeof dial>)().then(
        () => 'a connection',
        (error: unknown) => error,
      ),
      'an answer',
    );
    assert.ok(outcome instanceof Error, `expected an Error, got ${String(outcome)}`);
    assert.ok(outcome.message !== '', 'the Error must have a message');
    assert.doesNotMatch(outcome.message, /which is no Error/);
  },
};

export const dial: Promised = {
  name: 'dial',
  checksFor: (subject) => {
    if (!subject.dials) return [];
    return subject.listens || subject.options.nobody !== undefined ? [names, refuses] : [names];
  },
};
