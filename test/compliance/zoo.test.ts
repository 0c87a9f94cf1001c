/** The suite itself: every promise catches its culprit, and only that one fails. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Subject, examine, layerSuite, memoryTransport, transportSuite } from '../../compliance/index.ts';
import type { Transport } from '../../plugins/contract/index.ts';
import { xor } from '../support/xor.ts';
import { ZOO } from './zoo.ts';

async function failing(transport: Transport): Promise<string[]> {
  const names = new Set<string>();
  for await (const { promise, error } of examine(new Subject(transport, { source: (n) => `memory:${n}` })))
    if (error !== undefined) names.add(promise);
  return [...names];
}

process.env['SLUICE_SUITE_PATIENCE'] = '4000'; // of what never comes

describe('the suite', { concurrency: 3 }, () => {
  it('finds nothing wrong with a transport that keeps all promises', async () => {
    assert.deepEqual(await failing(memoryTransport()), []);
  });
  for (const [promise, what, make] of ZOO)
    it(`catches by "${promise}", and by nothing else, a transport that ${what}`, async () => {
      assert.deepEqual(await failing(make()), [promise]);
    });
});

describe('a skip', () => {
  const options = { source: (n: number) => `memory:${n}` };
  it('needs a reason', () => {
    assert.throws(
      () => transportSuite(memoryTransport(), { ...options, skip: { bytes: ' ' } }),
      /"bytes" needs a reason/,
    );
  });
  it('is of a promise', () => {
    assert.throws(() => layerSuite(xor, { skip: { byte: 'why' } }), /there is no promise "byte"; there are listen/);
  });
  it('is told with its reason', async () => {
    const subject = new Subject(memoryTransport(), { ...options, skip: { leaks: 'it is Tuesday' } });
    const told = [];
    for await (const { promise, skipped } of examine(subject)) if (skipped !== undefined) told.push([promise, skipped]);
    assert.deepEqual(told, [['leaks', 'it is Tuesday']]);
  });
});

it('the suite runs on whatever has describe and it', async () => {
  const titles: string[] = [];
  const run: (() => Promise<void> | undefined)[] = [];
  transportSuite(
    memoryTransport(),
    { source: (n) => `memory:${n}` },
    {
      describe: (name, define) => {
        titles.push(name);
        define();
      },
      it: (_name, one) => run.push(one),
    },
  );
  assert.deepEqual(titles.slice(0, 3), ['memory: keeps its promises', 'listen', 'dial']);
  await run[0]?.();
});
