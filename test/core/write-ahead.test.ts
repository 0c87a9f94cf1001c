import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { it } from 'node:test';
import { LIMITS } from '../../core/limits.ts';
import { WriteAhead } from '../../core/write-ahead.ts';
import { assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const BLOCK = 64 * 1024;

/** Writes ahead as far as it may; returns the bytes. */
function fill(ahead: WriteAhead): number {
  let bytes = 0;
  for (; !ahead.isFull; bytes += BLOCK) ahead.add(BLOCK);
  return bytes;
}

it('each writable may be a MiB ahead, until all together are too far; then each gets little', async () => {
  const enough = LIMITS.writeAheadOfAll / LIMITS.writeAhead;
  const targets = Array.from({ length: enough + 100 }, () => new PassThrough());
  const all = targets.map((target) => new WriteAhead(target));
  const filled = all.map(fill);
  assert.deepEqual(new Set(filled.slice(0, enough)), new Set([LIMITS.writeAhead]));
  assert.deepEqual(new Set(filled.slice(enough)), new Set([LIMITS.scarceWriteAhead]));
  const last = all.at(-1) as WriteAhead;
  last.remove(BLOCK);
  assert.ok(!last.isFull); // it goes on with what it has
  last.add(BLOCK);
  for (const target of targets.slice(0, -1)) target.destroy();
  await Promise.all(targets.slice(0, -1).map((target) => once(target, 'close')));
  assert.ok(!last.isFull); // the others have left theirs
  targets.at(-1)?.destroy();
});

it('a write of one byte counts for the memory that it costs', () => {
  const target = new PassThrough();
  const ahead = new WriteAhead(target);
  let writes = 0;
  for (; !ahead.isFull; writes += 1) ahead.add(1);
  assert.ok(writes <= 64);
  target.destroy();
});
