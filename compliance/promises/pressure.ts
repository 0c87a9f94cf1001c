import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Duplex } from 'node:stream';
import { soon } from '../bench.ts';
import type { Check, Promised } from '../check.ts';
import { payload, receiveSome, send } from '../ends.ts';

const MIB = 1024 * 1024;
const SENT = 24 * MIB;
/** Bytes that may be on their way: the buffers of the kernel for a TCP connection (up to 10 MiB), and some of our own. */
const MOST = 20 * MIB;
/** ms without a byte taken after which a writer counts as blocked. */
const QUIET = 150;

async function blocked(from: Duplex, to: Duplex): Promise<void> {
  const bytes = payload('pressure', SENT);
  let taken = 0;
  const sent = send(from, bytes, 256 * 1024, (count) => (taken = count));
  for (let before = -1; before !== taken;) {
    before = taken;
    await sleep(QUIET);
  }
  assert.ok(
    taken <= MOST,
    `${taken / MIB} MiB were taken that nobody has read; at most ${MOST / MIB} may be on their way`,
  );
  await soon(Promise.all([sent, receiveSome(to, SENT)]), 'the rest, once somebody reads', 30_000);
}

const both: Check = {
  title: 'blocks the writer while nobody reads, and goes on when somebody does',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    await Promise.all([blocked(near.stream, far.stream), blocked(far.stream, near.stream)]);
  },
};

export const pressure: Promised = { name: 'pressure', checksFor: ({ dials }) => (dials ? [both] : []) };
