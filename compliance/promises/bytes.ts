import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { soon, type Bench } from '../bench.ts';
import type { Check, Promised } from '../check.ts';
import { digest, payload, receiveSome, send } from '../ends.ts';
import type { Pair, Subject } from '../subject.ts';
import { throughChaos } from '../through-chaos.ts';

const MIB = 1024 * 1024;

async function carry(from: Duplex, to: Duplex, bytes: Buffer, piece?: number): Promise<void> {
  const received = receiveSome(to, bytes.length);
  await Promise.all([send(from, bytes, piece), soon(received, `the arrival of ${bytes.length} bytes`, 20_000)]);
  assert.equal(digest(await received), digest(bytes), 'other bytes arrived than were sent');
}

/** Different bytes, both ways at once. */
async function exchange({ near, far }: Pair, length: number, piece?: number): Promise<void> {
  await Promise.all([
    carry(near.stream, far.stream, payload('there', length), piece),
    carry(far.stream, near.stream, payload('back', length), piece),
  ]);
}

const random: Check = {
  title: 'arrive as they were sent, both ways at once',
  run: async (subject, bench) => exchange(await subject.open(bench), 2 * MIB),
};

const single: Check = {
  title: 'arrive one by one',
  run: async (subject, bench) => exchange(await subject.open(bench), 500, 1),
};

const large: Check = {
  title: 'arrive in one write of four megabytes',
  run: async (subject, bench) => exchange(await subject.open(bench), 4 * MIB, 4 * MIB),
};

/** An answer is waited for after each small write: nothing may be kept back until more has come. */
const interactive: Check = {
  title: 'leave at once, so that somebody can wait for each answer',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    far.stream.on('data', (chunk: Buffer) => far.stream.write(chunk));
    far.stream.resume();
    for (let turn = 0; turn < 20; turn += 1) await carryBack(near.stream, Buffer.from(`turn ${turn}`));
  },
};

async function carryBack(stream: Duplex, bytes: Buffer): Promise<void> {
  const answer = new Promise<Buffer>((resolve) => {
    let got = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      got = Buffer.concat([got, chunk]);
      if (got.length < bytes.length) return;
      stream.off('data', onData);
      resolve(got);
    };
    stream.on('data', onData);
  });
  stream.write(bytes);
  assert.equal((await soon(answer, 'an answer to a few bytes')).toString(), bytes.toString());
}

/** Who writes may use the buffer again when the write has called back, where the stream says so. */
const released: Check = {
  title: 'are let go of when the write has called back',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    const received = receiveSome(far.stream, 4 * 64 * 1024);
    const buffer = Buffer.alloc(64 * 1024);
    for (let turn = 1; turn <= 4; turn += 1) await send(near.stream, buffer.fill(turn));
    const all = await soon(received, 'the arrival of the bytes');
    for (let turn = 1; turn <= 4; turn += 1)
      assert.equal(all[turn * 64 * 1024 - 1], turn, 'a chunk was used after its write had called back');
  },
};

const pieces: Check = {
  title: 'arrive as they were sent, in whatever pieces they come',
  async run(subject: Subject, bench: Bench) {
    await exchange(await throughChaos(subject, bench, { pieces: 7, seed: 1 }), 30_000, 1_000);
  },
};

export const bytes: Promised = {
  name: 'bytes',
  checksFor: ({ layer, dials }) => {
    if (!dials) return [];
    return [random, single, large, interactive, released, ...(layer === undefined ? [] : [pieces])];
  },
};
