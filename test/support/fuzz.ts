/** What random tests have in common: their size, a seed that is printed and can be given, and that they leave no memory behind. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';

/** `npm run soak`: everything at full size. */
export const isSoak = Boolean(process.env['SLUICE_SOAK']);

/** A run that failed is repeated with `SLUICE_SEED=… npm test -- FILE`. */
export const SEED = Number(process.env['SLUICE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

interface Size<T> {
  readonly runs: number;
  /** Cases that once failed: they are tried first, for ever. */
  readonly examples?: T[];
}

/** Holds a property for so many cases. */
export async function hold<T>(
  t: TestContext,
  property: fc.IProperty<[T]> | fc.IAsyncProperty<[T]>,
  { runs, examples = [] }: Size<T>,
): Promise<void> {
  t.diagnostic(`${runs} runs, seed ${SEED}`);
  await fc.assert(property as fc.IAsyncProperty<[T]>, {
    seed: SEED,
    numRuns: runs + examples.length,
    examples: examples.map((one): [T] => [one]),
  });
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const ROUNDS = 8;

/** Bytes in use: the least of several looks, which is what cannot be collected. */
async function used(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round += 1) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
    const { heapUsed, external } = process.memoryUsage();
    least = Math.min(least, heapUsed + external);
  }
  return least;
}

/** Bytes that may be used more after any number of runs: caches fill, code is compiled. */
const GROWTH = 5 * 1024 * 1024;

const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);

/** Does the same twice, the second time in full, and looks at what is in use after each. */
export async function withoutGrowth(
  t: TestContext,
  warmUp: () => Promise<void>,
  run: () => Promise<void>,
): Promise<void> {
  await warmUp();
  const before = await used();
  await run();
  const after = await used();
  t.diagnostic(`memory: ${mebibytes(before)} MiB before, ${mebibytes(after)} MiB after`);
  assert.ok(after - before < GROWTH, `it has grown by ${mebibytes(after - before)} MiB`);
}
