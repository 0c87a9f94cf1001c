import assert from 'node:assert/strict';
import { soon } from '../bench.ts';
import type { Check, Promised } from '../check.ts';
import { closed, cut, payload, send } from '../ends.ts';

/** ms in which what does not wait for a peer is over. */
const AT_ONCE = 3_000;

const before: Check = {
  title: 'rejects a dial whose signal has fired before',
  async run(subject, bench) {
    const dial = await dialOf(subject, bench);
    const dialed = dial(AbortSignal.abort(new Error('given up'))).then(
      () => 'a connection',
      () => 'rejected',
    );
    assert.equal(await soon(dialed, 'an answer', AT_ONCE), 'rejected');
  },
};

const during: Check = {
  title: 'settles a dial soon after its signal fires',
  async run(subject, bench) {
    const dial = await dialOf(subject, bench);
    const attempt = new AbortController();
    const dialed = dial(attempt.signal).catch(() => {});
    setImmediate(() => attempt.abort(new Error('given up')));
    await soon(dialed, 'an answer', AT_ONCE);
  },
};

type DialOf = (...given: Parameters<Check['run']>) => Promise<(signal: AbortSignal) => Promise<unknown>>;

/** Dials a place where somebody listens. */
const dialOf: DialOf = async (subject, bench) => {
  if (subject.listens) return (await subject.listen(bench)).dial;
  const { sink } = await (subject.options.far as NonNullable<typeof subject.options.far>)(bench);
  return (signal) => subject.dial(bench, sink, signal);
};

const middle: Check = {
  title: 'frees both ends of a connection that is cut in the middle of a transfer',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    void send(near.stream, payload('cancel', 16 * 1024 * 1024));
    void send(far.stream, payload('cancel', 16 * 1024 * 1024));
    far.stream.resume();
    cut(near);
    await soon(closed(near.stream), '"close" of the end that was cut', AT_ONCE);
    await soon(closed(far.stream), '"close" of the other end');
  },
};

const unread: Check = {
  title: 'closes an end that is destroyed without waiting for a peer that does not read',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    near.stream.resume();
    void send(far.stream, payload('cancel', 16 * 1024 * 1024));
    void send(near.stream, payload('cancel', 16 * 1024 * 1024));
    near.stream.destroy();
    await soon(closed(near.stream), '"close" after "destroy()"', AT_ONCE);
  },
};

export const cancel: Promised = {
  name: 'cancel',
  checksFor: ({ dials }) => (dials ? [before, during, middle, unread] : []),
};
