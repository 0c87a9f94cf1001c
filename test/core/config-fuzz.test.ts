/**
 * Configurations that somebody has damaged: each is refused with 78 and its place, or starts; then nobody whom it does not
 * allow comes in, and nobody at all from a network where it does not say who may.
 */
import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { loadText } from '../../core/config/load.ts';
import { SluiceError } from '../../core/errors.ts';
import { damaged, GOOD } from '../support/damaged-configuration.ts';
import { hold, isSoak, withoutGrowth } from '../support/fuzz.ts';
import { assertNothingLeaks } from '../support/scope.ts';
import { PretendedGateway, type Start } from '../support/strangers.ts';

assertNothingLeaks();

const RUNS = isSoak ? 20_000 : 1_000;

/** ms: what a mistake in a configuration may take to be told, also on a machine that does something else. */
const PATIENCE = isSoak ? 1_000 : 5_000;

interface Seen {
  refused: number;
  links: number;
  closed: number;
  /** Sources that a network reaches, and that are open to somebody. */
  reachable: number;
  let: number;
  slowest: number;
}

const isForAnyone = (allow: readonly string[]): boolean => allow.includes('anyone');

function judge({ links, entrances }: Start, seen: Seen): void {
  for (const { link, reached } of links) {
    const { allow, source, sink } = link;
    const isDemanding = [sink, ...link.services.values()].some(
      (one) => one.scheme === 'shell' || one.forIdentity !== undefined,
    );
    seen.links += 1;
    seen.reachable += Number(reached.isReachable);
    seen.let += Number(reached.dials > 0);
    assert.ok(
      !reached.isReachable || allow.length > 0,
      `${source.text} is open to the network, and nobody was allowed`,
    );
    const mayComeIn = isForAnyone(allow) || (allow.length === 0 && !reached.isReachable);
    assert.ok(
      mayComeIn || (reached.dials === 0 && !reached.hasSession),
      `a stranger came in by ${source.text}, for ${allow.join()}`,
    );
    assert.ok(!isDemanding || reached.dials === 0, `a stranger reached ${sink.text}`);
  }
  for (const { allow, reached } of entrances) {
    assert.ok(!reached.isReachable || allow.length > 0, 'an entrance is open to the network, and nobody was allowed');
    const mayComeIn = isForAnyone(allow) || (allow.length === 0 && !reached.isReachable);
    assert.ok(mayComeIn || !reached.hasSession, `a stranger is the far side of a tunnel that is for ${allow.join()}`);
  }
}

async function tryOne(text: string, seen: Seen): Promise<void> {
  const gateway = new PretendedGateway();
  const begun = performance.now();
  let loaded;
  try {
    loaded = await loadText('/etc/sluice.yaml', text, gateway.registry);
  } catch (error) {
    seen.refused += 1;
    assert.ok(SluiceError.is(error) && error.exit === 78, String((error as Error).stack));
    return;
  } finally {
    seen.slowest = Math.max(seen.slowest, performance.now() - begun);
  }
  const start = await gateway.start(loaded, (error) => {
    seen.closed += 1;
    assert.equal(error.code, 'SLUICE_ACCESS', error.message);
  });
  judge(start, seen);
}

/** What was found so, and must be refused at once. */
const FOUND: readonly string[] = [
  GOOD.replace('wss://0.0.0.0:9001/t?cert=c.pem&key=k.pem', 'tunnel:nowhere/x'), // was told when it was opened
];

const none = (): Seen => ({ refused: 0, links: 0, closed: 0, reachable: 0, let: 0, slowest: 0 });

it('the one that is damaged is good, and lets strangers in only where it says anyone', async () => {
  const seen = none();
  await tryOne(GOOD, seen);
  assert.deepEqual({ ...seen, slowest: 0 }, { refused: 0, links: 5, closed: 0, reachable: 3, let: 3, slowest: 0 });
});

it('those that were found to start by mistake are refused', async () => {
  for (const text of FOUND) {
    const seen = none();
    await tryOne(text, seen);
    assert.equal(seen.refused, 1, text);
  }
});

it(`${RUNS} damaged configurations`, async (t: TestContext) => {
  const seen = none();
  const property = fc.asyncProperty(damaged, (text) => tryOne(text, seen));
  await withoutGrowth(
    t,
    () => fc.assert(property, { numRuns: 200 }),
    () => hold(t, property, { runs: RUNS }),
  );
  const { refused, links, closed, reachable, slowest } = seen;
  t.diagnostic(
    `${refused} refused; of the others ${closed} links not opened, ${links} opened, ${reachable} of them to a network`,
  );
  t.diagnostic(`${seen.let} let strangers in, as they say; the slowest was read in ${Math.round(slowest)} ms`);
  assert.ok(reachable > RUNS / 10, 'too few are open to say anything');
  assert.ok(slowest < PATIENCE, `${slowest} ms`);
});
