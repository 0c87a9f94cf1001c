/**
 * Every source with every sink: what goes in at one end comes out at the other, an end is an end, and a cut is a cut.
 * One pair alone: `node --test --test-name-pattern="wss → unix" test/matrix.test.ts`.
 */
import { after, before, describe, it } from 'node:test';
import { Tunnels } from '../core/tunnels/tunnels.ts';
import { builtInTransports } from '../transports/index.ts';
import { cut, exchange, lateReply, stall } from './matrix/checks.ts';
import { PAIRS, openPair, type Join, type Pair } from './matrix/pairs.ts';
import { MIB, SIZE, seed } from './matrix/payload.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';

assertNothingLeaks();
console.log(`the bytes of the matrix come from SLUICE_SEED=${seed}`);

const transports = builtInTransports({ interrupted: () => false }, new Tunnels());
const capabilities = (scheme: string) => transports.find(({ schemes }) => schemes.includes(scheme))?.capabilities ?? [];

function describePair(pair: Pair): void {
  const scope = new Scope({ after });
  let join: Join;
  before(async () => {
    join = await openPair(scope, pair);
  });
  it(`carries ${SIZE / MIB} MiB of random bytes each way at once`, async (t) => exchange(await join(new Scope(t))));
  it('carries one byte at a time', async (t) => exchange(await join(new Scope(t)), 2_000, 1));
  it('carries a late reply after the source has ended', async (t) => lateReply(await join(new Scope(t)), 'there'));
  it('carries late bytes after the sink has ended', async (t) => lateReply(await join(new Scope(t)), 'back'));
  it('takes no more bytes while nobody reads', async (t) => stall(await join(new Scope(t))));
  it('passes a cut by the source on', async (t) => cut(await join(new Scope(t)), 'source', pair, capabilities));
  it('passes a cut by the sink on', async (t) => cut(await join(new Scope(t)), 'sink', pair, capabilities));
}

describe('the matrix', { concurrency: 2, timeout: 1_800_000 }, () => {
  for (const pair of PAIRS) {
    const name = `${pair.source.name} → ${pair.sink.name}`;
    describe(name, { concurrency: 1, timeout: 300_000 }, () => describePair(pair));
  }
});
