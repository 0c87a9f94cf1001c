import assert from 'node:assert/strict';
import type { Bench } from '../bench.ts';
import { soon } from '../bench.ts';
import type { Check, Promised } from '../check.ts';
import { cut, ending, payload, receive, receiveSome, send } from '../ends.ts';
import type { Pair, Subject } from '../subject.ts';
import { throughChaos } from '../through-chaos.ts';

type Side = 'near' | 'far';

/** What one end sees when `act` is done to the other, in the middle of a transfer. */
async function seen({ near, far }: Pair, by: Side, act: (pair: Pair) => void): Promise<'end' | 'cut'> {
  const [from, to] = by === 'near' ? [near.stream, far.stream] : [far.stream, near.stream];
  const how = ending(to);
  const some = receiveSome(to, 1_000);
  await send(from, payload('cut', 1_000));
  await soon(some, 'the arrival of the first bytes');
  act({ near, far });
  return soon(how, 'an end or a cut at the other end');
}

/** Those ends that are ours to break: a far end that is the suite's own is no connection of the transport's. */
const sides = (subject: Subject): readonly Side[] => (subject.listens ? ['near', 'far'] : ['near']);

async function allSeen(subject: Subject, bench: Bench, act: (side: Side) => (pair: Pair) => void): Promise<string[]> {
  const found: string[] = [];
  for (const side of sides(subject)) found.push(await seen(await subject.open(bench), side, act(side)));
  return found;
}

const cutBy = (side: Side) => (pair: Pair) => cut(pair[side]);
const dieBy = (side: Side) => (pair: Pair) => void pair[side].stream.destroy();

const ends: Check = {
  title: 'shows an end of both directions as an end',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    const got = [receive(near.stream), receive(far.stream)];
    for (const { stream } of [near, far]) stream.end('all of it');
    for (const { bytes, how } of await soon(Promise.all(got), 'an end at both'))
      assert.deepEqual([bytes.toString(), how], ['all of it', 'end']);
  },
};

const tellsCut: Check = {
  title: 'tells a cut, so that the other end cannot take it for an end',
  async run(subject, bench) {
    const found = await allSeen(subject, bench, cutBy);
    assert.ok(!found.includes('end'), 'a cut by "abort" (or "destroy") arrived as an end');
  },
};

const hidesCut: Check = {
  title: 'does not claim to tell a cut, and the other end takes one for an end',
  async run(subject, bench) {
    const found = await allSeen(subject, bench, cutBy);
    assert.ok(found.includes('end'), 'every cut was seen as one: "tells-cut" belongs to its capabilities');
  },
};

const provesEnd: Check = {
  title: 'proves an end: the death of the other end is none',
  async run(subject, bench) {
    const found = await allSeen(subject, bench, dieBy);
    assert.ok(!found.includes('end'), 'an end that was destroyed before it had ended was shown as an end');
  },
};

const provesNothing: Check = {
  title: 'does not claim to prove an end, and the death of the other end looks like one',
  async run(subject, bench) {
    const found = await allSeen(subject, bench, dieBy);
    assert.ok(found.includes('end'), 'no death was shown as an end: "proves-end" belongs to its capabilities');
  },
};

/** A wire that ends after a number of bytes, as after the death of a machine in the middle. */
const truncated: Check = {
  title: 'takes an end below that is not its own for a cut, at whatever byte',
  async run(subject, bench) {
    for (const after of [0, 1, 2, 5, 13, 40, 120, 400, 1_000, 3_000]) {
      const { near, far } = await throughChaos(subject, bench, { cut: { after, toward: 'far', how: 'fin' } }).catch(
        () => ({ near: undefined, far: undefined }), // it was cut in the handshake
      );
      if (near === undefined) continue;
      const got = receive(far.stream);
      await send(near.stream, payload('truncated', 20_000));
      assert.equal((await soon(got, 'an end or a cut')).how, 'cut', `an end after ${after} bytes was shown as an end`);
    }
  },
};

const addsProof = ({ layer }: Subject): boolean => layer?.adds.includes('proves-end') === true;

export const endAndCut: Promised = {
  name: 'end-and-cut',
  checksFor(subject) {
    if (!subject.dials) return [];
    const isOurs = subject.listens; // of an end that is the suite's own nothing can be shown
    const cuts = subject.has('tells-cut') ? [tellsCut] : isOurs ? [hidesCut] : [];
    const proofs = isOurs ? [subject.has('proves-end') ? provesEnd : provesNothing] : [];
    return [ends, ...cuts, ...proofs, ...(addsProof(subject) ? [truncated] : [])];
  },
};
