/** A short session whose carrier breaks at every byte of it, in each direction: nothing changes, or it ends cleanly. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import type { SessionStream } from '../../../core/session/stream.ts';
import type { Chaos, Toward } from '../../support/chaos.ts';
import { network, type Network } from '../../support/session-network.ts';
import { assertNothingLeaks } from '../../support/scope.ts';

assertNothingLeaks();

interface Told {
  readonly request: string;
  readonly reply: string;
  readonly diagnostics: string;
  readonly exit: unknown;
}

const WANTED: Told = { request: 'three words, please', reply: 'here are three', diagnostics: 'hm', exit: { code: 3 } };

async function textOf(stream: SessionStream): Promise<string> {
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(stream, 'end');
  return text;
}

/** Asks a far command, and tells what both sides saw. */
async function script(net: Network, requests: Promise<string>[], detachedLife: number): Promise<Told> {
  const { session } = await net.session({ detachedLife, redialDelay: (failures) => failures });
  try {
    const { stream } = session.open({ service: 'default', metadata: {} });
    let diagnostics = '';
    stream.diagnostics.on('data', (chunk: Buffer) => (diagnostics += chunk.toString()));
    stream.write('three words, ');
    stream.end('please');
    const reply = await textOf(stream);
    const exit = await stream.exit;
    if (exit === undefined) throw stream.errored ?? new Error('an end, and neither a status nor an error');
    return { request: (await requests[0]) as string, reply, diagnostics, exit };
  } finally {
    session.end(new Error('the test is over'));
  }
}

/** A network whose first wire misbehaves, and whose far side answers; the listener's sessions end with the test. */
function stage(wires: readonly Chaos[], detachedLife: number): { net: Network; requests: Promise<string>[] } {
  const requests: Promise<string>[] = [];
  const net = network(
    {
      detachedLife,
      onOpen: (_request, { accept }) => {
        const stream = accept({ exit: true });
        requests.push(answer(stream));
        requests.at(-1)?.catch(() => {});
      },
    },
    (dial) => wires[dial] ?? {},
  );
  return { net, requests };
}

async function answer(stream: SessionStream): Promise<string> {
  const request = await textOf(stream);
  stream.sendDiagnostics().write('hm');
  stream.write('here are ');
  stream.end('three');
  await once(stream, 'finish');
  stream.sendExit({ code: 3 });
  return request;
}

/** Bytes of the whole script toward each side. */
async function measure(): Promise<Record<Toward, number>> {
  const { net, requests } = stage([], 5_000);
  assert.deepEqual(await script(net, requests, 5_000), WANTED);
  const [wire] = net.wires;
  return { far: wire?.toFar ?? 0, near: wire?.toNear ?? 0 };
}

/** How it ended, in one word; anything but these three is a failure. */
async function outcome(wires: readonly Chaos[], detachedLife: number): Promise<'equal' | 'no session' | 'aborted'> {
  const { net, requests } = stage(wires, detachedLife);
  try {
    const told = await script(net, requests, detachedLife);
    assert.deepEqual(told, WANTED, `changed by ${JSON.stringify(wires)}`);
    return 'equal';
  } catch (error) {
    const { message } = error as Error;
    if (/handshake|speak the session|^the wire was cut/.test(message)) return 'no session';
    if (/no connection|^the connection was lost|reset by the far side/.test(message)) return 'aborted';
    throw error;
  } finally {
    net.listener.end(new Error('the test is over'));
  }
}

for (const toward of ['far', 'near'] as const) {
  for (const how of ['fin', 'rst'] as const) {
    describe(`a carrier that breaks (${how}) toward the ${toward} end, at each byte`, () => {
      it('changes nothing where the session goes on', async () => {
        const total = (await measure())[toward];
        const seen = { equal: 0, 'no session': 0, aborted: 0 };
        for (let after = 0; after < total; after += 1)
          seen[await outcome([{ cut: { after, toward, how } }], 5_000)] += 1;
        assert.equal(seen.aborted, 0, JSON.stringify(seen));
        assert.ok(seen.equal >= 100, JSON.stringify(seen));
      });

      it('is never taken for an end where nothing resumes', async () => {
        const total = (await measure())[toward];
        const seen = { equal: 0, 'no session': 0, aborted: 0 };
        for (let after = 0; after < total; after += 1) seen[await outcome([{ cut: { after, toward, how } }], 0)] += 1;
        assert.ok(seen.aborted >= 100, JSON.stringify(seen));
      });

      it('changes nothing where it is the second carrier, already when it resumes', async () => {
        const first: Chaos = { cut: { after: (await measure()).far - 30, toward: 'far' } };
        for (let after = 0; after < 300; after += 1) {
          const seen = await outcome([first, { cut: { after, toward, how } }], 5_000);
          assert.equal(seen, 'equal', `byte ${after}`);
        }
      });
    });
  }
}
