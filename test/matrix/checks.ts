/** What every pair has to carry. */
import assert from 'node:assert/strict';
import type { Capability } from '../../plugins/contract/index.ts';
import { receive, write, type End } from './end.ts';
import type { Joined, Pair } from './pairs.ts';
import type { Sink } from './sinks.ts';
import type { Source } from './source.ts';
import { MIB, SIZE, reply, request, type Payload } from './payload.ts';

interface Flow {
  readonly from: End;
  readonly to: End;
  readonly payload: Payload;
}

const flows = ({ client, server }: Joined): { there: Flow; back: Flow } => ({
  there: { from: client, to: server, payload: request },
  back: { from: server, to: client, payload: reply },
});

/** The relay has ended well, and both sides have been told so. */
async function assertEnded({ client, server, closed }: Joined): Promise<void> {
  const [fields, ...seen] = await Promise.all([closed(), client.seen, server.seen]);
  assert.deepEqual({ how: fields['how'], seen }, { how: 'ended', seen: ['end', 'end'] });
}

const expected = (payload: Payload, bytes: number) => ({ bytes, sha256: payload.digest(bytes) });

async function carry({ from, to, payload }: Flow, length: number, chunk?: number): Promise<void> {
  const received = receive(to);
  await write(from, payload, { length, ...(chunk && { chunk }) });
  from.writable.end();
  assert.deepEqual(await received, expected(payload, length));
}

/** Random bytes in both directions at once. */
export async function exchange(joined: Joined, length = SIZE, chunk?: number): Promise<void> {
  const { there, back } = flows(joined);
  await Promise.all([carry(there, length, chunk), carry(back, length, chunk)]);
  await assertEnded(joined);
}

/** One side ends at once; only after the other has been told does it answer. */
export async function lateReply(joined: Joined, first: 'there' | 'back'): Promise<void> {
  const { there, back } = flows(joined);
  const [question, answer] = first === 'there' ? [there, back] : [back, there];
  const answered = receive(answer.to);
  await carry(question, 1_000);
  await write(answer.from, answer.payload, { length: 2 * MIB });
  answer.from.writable.end();
  assert.deepEqual(await answered, expected(answer.payload, 2 * MIB));
  await assertEnded(joined);
}

/** ms without a byte taken after which a writer counts as blocked. */
const QUIET = 250;
const STALLED = 32 * MIB;
/** Bytes that a blocked writer has got rid of: the buffers of two TCP connections (up to 10 MiB each), and ours. */
const MOST_TAKEN = 20 * MIB;

async function untilQuiet(taken: () => number): Promise<number> {
  for (let before = -1; before !== taken();) {
    before = taken();
    await new Promise((resolve) => setTimeout(resolve, QUIET));
  }
  return taken();
}

/** Nobody reads at either end: both writers are blocked, and go on when reading begins. */
export async function stall(joined: Joined): Promise<void> {
  const streams = Object.values(flows(joined)).map(({ from, to, payload }) => {
    const state = { taken: 0 };
    const written = write(from, payload, { length: STALLED }, (bytes) => (state.taken = bytes));
    return { from, to, payload, state, written };
  });
  const taken = await Promise.all(streams.map(({ state }) => untilQuiet(() => state.taken)));
  for (const bytes of taken) assert.ok(bytes < MOST_TAKEN, `${bytes} bytes were taken that nobody read`);
  const finish = streams.map(async ({ from, to, payload, written }) => {
    const received = receive(to);
    await written;
    from.writable.end();
    assert.deepEqual(await received, expected(payload, STALLED));
  });
  await Promise.all(finish);
  await assertEnded(joined);
}

export type Capabilities = (scheme: string) => readonly Capability[];

/** One side dies while it sends. Resolves when the gateway has let go of both. */
export async function cut(joined: Joined, by: 'source' | 'sink', pair: Pair, all: Capabilities): Promise<void> {
  const { there, back } = flows(joined);
  const { to } = by === 'source' ? there : back;
  const tells = ({ medium }: Source | Sink): boolean => all(medium).includes('tells-cut');
  await dieInTheMiddle(by === 'source' ? there : back);
  if (tells(pair.source) && tells(pair.sink)) assert.equal(await to.seen, 'cut');
  to.writable.destroy();
  to.readable.destroy();
  const fields = await joined.closed();
  const isHandedOff = fields['in'] === undefined; // then only the command can know
  if (isHandedOff || !tells(pair[by])) return;
  assert.equal(fields['how'], 'cut');
  if (by === 'source' && pair.sink.medium === 'exec') assert.equal(fields['signal'], 'SIGTERM');
}

/** What came before the cut has to be what was sent, and no more. */
async function dieInTheMiddle({ from, to, payload }: Flow): Promise<void> {
  const begun = Promise.withResolvers<void>();
  const received = receive(to, (bytes) => bytes > MIB && begun.resolve());
  const writing = write(from, payload, { length: SIZE });
  await begun.promise;
  from.cut();
  await writing;
  const { bytes, sha256 } = await received;
  assert.ok(bytes < SIZE, 'it was cut after its last byte');
  assert.equal(sha256, payload.digest(bytes), 'other bytes came before the cut than were sent');
}
