/** Who runs a command, who waits for a turn, and who is told that there is none. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Admission } from '../../core/admission/admission.ts';
import type { Turn } from '../../core/admission/commands.ts';
import { admissionLimits } from '../../core/admission/limits.ts';
import { LIMITS } from '../../core/limits.ts';
import { RecordedLog } from '../support/gateway.ts';
import { assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

/** Where time stands still. */
function desk(t: TestContext, given: Parameters<typeof admissionLimits>[0]) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const log = new RecordedLog();
  const admission = new Admission(log.asLog(), admissionLimits(given, 100_000));
  const came: string[] = [];
  const gone = new AbortController();
  /** Adds its label to `came` when its turn comes, or what it is told instead. */
  const ask = (label: string, signal: AbortSignal = gone.signal): Turn & { settled: Promise<void> } => {
    const name = label.replace(/\d+$/, '');
    const turn = admission.enter(name === 'anyone' ? undefined : { name }, true, 'unix');
    const settled = turn.come(signal).then(
      () => void came.push(label),
      (error: unknown) => void came.push(`${label}: ${(error as Error).message}`),
    );
    return { ...turn, settled };
  };
  return { admission, log, came, ask };
}

const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a command above the limit', () => {
  it('waits, and runs when one has ended, in the order in which they came', async (t) => {
    const { admission, came, ask } = desk(t, { commands: 1 });
    const [a, b, c] = [ask('a1'), ask('b1'), ask('c1')];
    await turns();
    assert.deepEqual([came, admission.waiting], [['a1'], 2]);
    a.leave();
    a.leave();
    await turns();
    assert.deepEqual(came, ['a1', 'b1']);
    b.leave();
    await turns();
    assert.deepEqual([came, admission.waiting], [['a1', 'b1', 'c1'], 0]);
    c.leave();
  });

  it('holds up nobody behind it where only its own identity has enough', async (t) => {
    const { came, ask } = desk(t, { commands: 3, commandsPerIdentity: 1 });
    const first = ask('a1');
    ask('a2');
    const other = ask('b1');
    ask('anyone1');
    ask('c1');
    await turns();
    assert.deepEqual(came, ['a1', 'b1', 'anyone1']);
    other.leave();
    await turns();
    assert.deepEqual(came, ['a1', 'b1', 'anyone1', 'c1']);
    first.leave();
    await turns();
    assert.deepEqual(came, ['a1', 'b1', 'anyone1', 'c1', 'a2']);
  });

  it('is refused where too many wait, and where nobody may', (t) => {
    const { admission, ask } = desk(t, { commands: 1, commandsWaiting: 2 });
    for (const label of ['a1', 'a2', 'a3']) ask(label);
    const message = '1 commands run, which is the limit, and 2 wait for their turn';
    assert.throws(() => ask('a4'), { code: 'SLUICE_BUSY', message });
    admission.limit(admissionLimits({ commands: 1, commandsWaiting: 0 }));
    assert.throws(() => ask('b1'), { code: 'SLUICE_BUSY', message: /and 0 wait/ });
    assert.equal(admission.refused[message], 1);
  });

  it('finds room in a full queue where another has most of it, who gives up the last', async (t) => {
    const { came, ask } = desk(t, { commands: 1, commandsWaiting: 3 });
    const first = ask('a1');
    for (const label of ['a2', 'a3', 'a4', 'b1']) ask(label);
    await turns();
    assert.deepEqual(came, ['a1', 'a4: too many commands wait, and most of them are of this identity']);
    assert.throws(() => ask('b2'), { code: 'SLUICE_BUSY' });
    assert.throws(() => ask('a5'), { code: 'SLUICE_BUSY' });
    first.leave();
    await turns();
    assert.deepEqual(came.slice(2), ['a2']);
  });

  it('is told after a while that its turn did not come', async (t) => {
    const { admission, came, ask } = desk(t, { commandsPerIdentity: 1 });
    ask('a1');
    const late = ask('a2');
    t.mock.timers.tick(LIMITS.commandWait - 1);
    await turns();
    assert.deepEqual(came, ['a1']);
    t.mock.timers.tick(1);
    await turns();
    const reason = '1 commands of this identity run, which is the limit, and its turn did not come in 8 s';
    assert.deepEqual([came, admission.waiting], [['a1', `a2: ${reason}`], 0]);
    assert.equal(admission.refused[reason], 1);
    late.leave();
  });

  it('waits no more when its client has gone, and takes nobody’s place', async (t) => {
    const { admission, came, ask } = desk(t, { commands: 1 });
    const first = ask('a1');
    const leaving = new AbortController();
    const gone = ask('b1', leaving.signal);
    ask('c1');
    leaving.abort(new Error('gone'));
    await gone.settled;
    assert.equal(admission.waiting, 1);
    gone.leave();
    first.leave();
    await turns();
    assert.deepEqual(came, ['a1', 'b1: gone', 'c1']);
    assert.equal(admission.waiting, 0);
  });

  it('does not run when its client has gone just as its turn came', async (t) => {
    const { came, ask } = desk(t, { commands: 1 });
    const first = ask('a1');
    const leaving = new AbortController();
    const gone = ask('b1', leaving.signal);
    await turns();
    first.leave();
    leaving.abort(new Error('gone'));
    await turns();
    ask('c1');
    gone.leave();
    await turns();
    assert.deepEqual(came, ['a1', 'b1: gone', 'c1']);
  });

  it('runs at once when the limit is raised', async (t) => {
    const { admission, came, ask } = desk(t, { commands: 1 });
    ask('a1');
    ask('a2');
    admission.limit(admissionLimits({ commands: 2 }));
    await turns();
    assert.deepEqual(came, ['a1', 'a2']);
  });

  it('is counted, and told once of many', (t) => {
    const { admission, log, ask } = desk(t, { commands: 1 });
    for (let count = 0; count < 21; count += 1) ask('a');
    assert.deepEqual(admission.queued, { '1 commands run, which is the limit': 20 });
    assert.equal(log.lines.filter(({ message }) => message === 'commands wait for their turn').length, 1);
    assert.equal(log.lines.length, 1);
  });
});
