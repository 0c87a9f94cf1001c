/**
 * Arbitrary interleavings of everything that a stream can do, and of cuts, against a model that is nothing but the
 * lists of what was written: every stream delivers exactly its bytes, ends as ends, resets as resets.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Session } from '../../../core/session/session.ts';
import { FIRST_CREDIT, type SessionStream } from '../../../core/session/stream.ts';
import { FIRST_WINDOW } from '../../../core/session/window.ts';
import { seededBytes } from '../../support/tree.ts';
import { network } from '../../support/session-network.ts';
import { assertNothingLeaks } from '../../support/scope.ts';

assertNothingLeaks();

const RUNS = process.env['SLUICE_SOAK'] ? 5_000 : 400;

type Side = 'opener' | 'acceptor';
const other = (side: Side): Side => (side === 'opener' ? 'acceptor' : 'opener');

/** One end of a stream, and what has happened at it. */
interface End {
  readonly stream: SessionStream;
  readonly wrote: Buffer[];
  readonly read: Buffer[];
  hasEnded: boolean;
  sawEnd: boolean;
  failure: Error | undefined;
}

interface Modelled {
  readonly ends: Readonly<Record<Side, End>>;
  readonly said: Buffer[];
  readonly heard: Buffer[];
  readonly promisesExit: boolean;
  exit: number | undefined;
  resetBy: Side | undefined;
}

function watch(stream: SessionStream): End {
  const end: End = { stream, wrote: [], read: [], hasEnded: false, sawEnd: false, failure: undefined };
  stream.on('data', (chunk: Buffer) => end.read.push(chunk));
  stream.once('end', () => (end.sawEnd = true));
  stream.once('error', (error) => (end.failure = error));
  return end;
}

/** What is done to the session, one after the other. */
type Step =
  | { do: 'open'; by: 'dialer' | 'listener'; exit: boolean }
  | { do: 'write'; stream: number; side: Side; bytes: number }
  | { do: 'end' | 'reset' | 'stall' | 'read'; stream: number; side: Side }
  | { do: 'stderr'; stream: number; bytes: number }
  | { do: 'exit'; stream: number; code: number }
  | { do: 'cut'; how: 'fin' | 'rst' }
  | { do: 'wait'; turns: number };

const side = fc.constantFrom<Side>('opener', 'acceptor');
const stream = fc.nat(9);
const bytes = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 300 }) },
  { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 300_000 }) },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('open' as const),
      by: fc.constantFrom('dialer' as const, 'listener' as const),
      exit: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('write' as const), stream, side, bytes }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('end' as const, 'stall' as const, 'read' as const), stream, side }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reset' as const), stream, side }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stderr' as const), stream, bytes }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('exit' as const), stream, code: fc.nat(255) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('cut' as const), how: fc.constantFrom('fin' as const, 'rst' as const) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), turns: fc.integer({ min: 1, max: 20 }) }) },
);

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** Both sides of one session, and every stream of it. */
class Run {
  readonly streams: Modelled[] = [];
  /** The far end of a stream, by what its OPEN said. */
  readonly #arrived = new Map<unknown, (stream: SessionStream) => void>();
  readonly #net = network({ onOpen: (request, answer) => this.#accept(request.metadata, answer) });
  #sessions: Record<'dialer' | 'listener', Session> | undefined;
  #written = 0;

  async start(): Promise<void> {
    const { session } = await this.#net.session({
      onOpen: (request, answer) => this.#accept(request.metadata, answer),
    });
    const [far] = this.#net.listener.sessions();
    this.#sessions = { dialer: session, listener: far as Session };
  }

  #accept(
    metadata: Readonly<Record<string, unknown>>,
    answer: { accept(opened: { exit: boolean }): SessionStream },
  ): void {
    this.#arrived.get(metadata['number'])?.(answer.accept({ exit: metadata['exit'] === true }));
  }

  async apply(one: Step): Promise<void> {
    if (one.do === 'wait') return turns(one.turns);
    if (one.do === 'cut') return this.#net.cut(one.how);
    if (one.do === 'open') return this.#open(one.by, one.exit);
    const target = this.streams[one.stream % Math.max(this.streams.length, 1)];
    if (target === undefined) return;
    if (one.do === 'exit') return this.#exit(target, one.code);
    if (one.do === 'stderr') return this.#say(target, one.bytes);
    this.#act(target, one);
  }

  async #open(by: 'dialer' | 'listener', exit: boolean): Promise<void> {
    const number = this.streams.length;
    const sessions = this.#sessions as Record<'dialer' | 'listener', Session>;
    const far = new Promise<SessionStream>((resolve) => this.#arrived.set(number, resolve));
    const { stream: near } = sessions[by].open({ service: 'default', metadata: { number, exit } });
    const heard: Buffer[] = [];
    near.diagnostics.on('data', (chunk: Buffer) => heard.push(chunk));
    const opener = watch(near); // before it is answered: nothing of it may be lost
    const acceptor = watch(await far);
    const ends = { opener, acceptor };
    this.streams.push({ ends, said: [], heard, promisesExit: exit, exit: undefined, resetBy: undefined });
  }

  #act(target: Modelled, one: Extract<Step, { side: Side }>): void {
    const end = target.ends[one.side];
    if (one.do === 'stall') end.stream.pause();
    if (one.do === 'read') end.stream.resume();
    if (one.do === 'reset' && !end.stream.destroyed) {
      target.resetBy ??= one.side;
      end.stream.destroy(new Error('as told'));
    }
    if (one.do === 'write') this.#write(end, one.bytes);
    if (one.do === 'end') this.#end(end);
  }

  #write(end: End, length: number): void {
    if (!end.stream.writable) return;
    const chunk = seededBytes(`${(this.#written += 1)}`, length);
    end.wrote.push(chunk);
    end.stream.write(chunk);
  }

  #end(end: End): void {
    if (!end.stream.writable) return;
    end.hasEnded = true;
    end.stream.end();
  }

  #say(target: Modelled, length: number): void {
    const { stream: far, hasEnded } = target.ends.acceptor;
    if (far.destroyed || hasEnded) return;
    const chunk = seededBytes('stderr', length);
    target.said.push(chunk);
    far.sendDiagnostics().write(chunk);
  }

  /** As a relay does it: what the command said has gone out, then its end, then how it ended. */
  #exit(target: Modelled, code: number): void {
    const { acceptor } = target.ends;
    if (!target.promisesExit || target.exit !== undefined || acceptor.stream.destroyed) return;
    target.exit = code;
    this.#end(acceptor);
    const { stream: far } = acceptor;
    if (far.writableFinished) far.sendExit({ code });
    else far.once('finish', () => far.sendExit({ code }));
  }

  /** Everything that is still open ends, and is read; resolves when it has arrived. */
  async finish(): Promise<void> {
    for (const target of this.streams) {
      for (const end of Object.values(target.ends)) {
        this.#end(end);
        end.stream.resume();
      }
      this.#exit(target, 0);
    }
    for (const { ends } of this.streams)
      for (const { stream: one } of Object.values(ends))
        if (!one.closed) await new Promise((resolve) => one.once('close', resolve));
    await turns(3);
  }

  stop(): void {
    this.#sessions?.dialer.end(new Error('the test is over'));
    this.#net.listener.end(new Error('the test is over'));
  }

  assertBounded(): void {
    const { dialer, listener } = this.#sessions as Record<'dialer' | 'listener', Session>;
    const most = Math.max(dialer.unacknowledged, listener.unacknowledged);
    assert.ok(most <= FIRST_WINDOW + 128 * 1024, `${most} bytes are kept for replay`);
    for (const { ends } of this.streams) {
      for (const { stream: one } of Object.values(ends)) assert.ok(one.readableLength <= FIRST_CREDIT);
    }
  }

  assertNothingLeft(): void {
    const { dialer, listener } = this.#sessions as Record<'dialer' | 'listener', Session>;
    assert.equal(dialer.streams + listener.streams, 0, 'streams are left');
  }
}

const describeBytes = (chunks: readonly Buffer[]): string => {
  const all = Buffer.concat(chunks);
  return `${all.length} bytes, ${all.toString('hex', 0, 8)}…`;
};

function assertDelivered(target: Modelled, from: Side): void {
  const [sender, receiver] = [target.ends[from], target.ends[other(from)]];
  const [sent, got] = [Buffer.concat(sender.wrote), Buffer.concat(receiver.read)];
  assert.ok(got.equals(sent.subarray(0, got.length)), `the ${from}'s bytes arrived changed: ${describeBytes([got])}`);
  if (receiver.sawEnd) {
    assert.ok(sender.hasEnded, `the ${from} never ended, but an end was seen`);
    assert.equal(got.length, sent.length, `an end before the ${from}'s last byte`);
  }
  // A command that has exited reads no more; whoever reset the stream reads no more either.
  const mayStop = target.resetBy !== undefined || (target.exit !== undefined && from === 'opener');
  if (!mayStop) assert.ok(receiver.sawEnd, `the ${from}'s end was not seen: ${receiver.failure?.message}`);
}

async function assertAsModelled(target: Modelled): Promise<void> {
  assertDelivered(target, 'opener');
  assertDelivered(target, 'acceptor');
  if (target.resetBy === undefined) {
    assert.equal(target.ends.opener.failure, undefined);
    assert.equal(describeBytes(target.heard), describeBytes(target.said));
    const wanted = target.promisesExit ? { code: target.exit } : undefined;
    assert.deepEqual(await target.ends.opener.stream.exit, wanted);
    return;
  }
  const victim = target.ends[other(target.resetBy)];
  const hasExited = target.resetBy === 'opener' && target.exit !== undefined; // it reads no more, and is over
  if (!victim.sawEnd && !hasExited) assert.match(victim.failure?.message ?? 'no error', /as told/);
}

describe('any interleaving of opens, data, ends, resets, stalls, diagnostics, exits and cuts', () => {
  it('delivers on every stream what the model says', async () => {
    const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), async (steps) => {
      const run = new Run();
      await run.start();
      try {
        for (const one of steps) {
          await run.apply(one);
          run.assertBounded();
        }
        await run.finish();
        for (const target of run.streams) await assertAsModelled(target);
        run.assertNothingLeft();
      } finally {
        run.stop();
      }
    });
    await fc.assert(property, {
      numRuns: RUNS,
      timeout: 20_000,
      ...(process.env['SLUICE_SEED'] && { seed: Number(process.env['SLUICE_SEED']) }),
    });
  });
});
