/** `rate+…`: as fast as the rules say, for all connections of a link together, and differently as soon as they are changed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { layerSuite } from '../../compliance/index.ts';
import { Bucket, Limiter } from '../../plugins/rate/bucket.ts';
import rate from '../../plugins/rate/index.ts';
import { Rules, parseRate, parseRule, parseRules, rateAt } from '../../plugins/rate/rules.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { joinedBy } from './command-line.ts';

assertNothingLeaks();

layerSuite(rate);

describe('a rate', () => {
  const rates: [text: string, bytes: number][] = [
    ['500', 500],
    ['500K', 500_000],
    ['500k', 500_000],
    ['1.5M', 1_500_000],
    ['off', Number.POSITIVE_INFINITY],
  ];
  for (const [text, bytes] of rates) it(`may be ${text}`, () => assert.equal(parseRate(text), bytes));
  for (const text of ['', '0', '-1', '5x', '5 M', 'fast'])
    it(`cannot be ${JSON.stringify(text)}`, () => assert.throws(() => parseRate(text), /expected a rate/));
});

const at = (time: string): Date => new Date(`2026-03-04T${time}:00`);

describe('rules', () => {
  const rules = parseRules('# a comment\n22:00-06:00 send=10M\n\n12:00-13:00 send=off receive=1K # lunch\nsend=1M\n');
  const cases: [time: string, send: number, receive: number][] = [
    ['21:59', 1e6, Number.POSITIVE_INFINITY],
    ['22:00', 1e7, Number.POSITIVE_INFINITY],
    ['02:00', 1e7, Number.POSITIVE_INFINITY],
    ['06:00', 1e6, Number.POSITIVE_INFINITY],
    ['12:30', Number.POSITIVE_INFINITY, 1e3],
  ];
  for (const [time, send, receive] of cases)
    it(`at ${time} say ${send} and ${receive}`, () =>
      assert.deepEqual([rateAt(rules, 'send', at(time)), rateAt(rules, 'receive', at(time))], [send, receive]));
  for (const line of ['22:00', '25:00-26:00 send=1', '22:00-23:61 send=1', 'sent=1M', 'send='])
    it(`cannot be ${line}`, () => assert.throws(() => parseRule(line)));
  it('tell the line that is wrong', () => assert.throws(() => parseRules('send=1M\n\nsend=x'), /^Error: line 3: /));
});

it('a bucket gives all who ask for bytes together no more than its rate', () => {
  const bucket = new Bucket(() => 1_000_000);
  const waits = Array.from({ length: 100 }, () => bucket.wait(bucket.take(10_000, 1_000), 1_000)); // a second's worth of a million bytes
  assert.ok(Math.abs((waits.at(-1) ?? 0) - 950) < 1, `${waits.at(-1)} ms for the last of a million bytes`);
});

it('what is owed to a bucket is bytes: at another rate it is another time', () => {
  let bytes = 1_000;
  const bucket = new Bucket(() => bytes);
  const place = bucket.take(10_050, 1_000);
  assert.equal(bucket.wait(place, 1_000), 10_000);
  assert.equal(bucket.wait(place, 2_000), 9_000);
  bytes = 100_000_000;
  assert.ok(bucket.wait(place, 2_000) < 0.1, 'at once');
  bytes = 500;
  const later = bucket.take(1_000, 2_000);
  assert.ok(Math.abs(bucket.wait(later, 2_000) - 20_000) < 1, 'and later again');
  bytes = Number.POSITIVE_INFINITY;
  assert.equal(bucket.wait(later, 2_000), 0);
});

it('a connection that waits behind others is let through when the rate has been raised', async (t) => {
  let bytes = 1_000;
  const bucket = new Bucket(() => bytes);
  const limiters = Array.from({ length: 200 }, () => new Limiter(bucket)); // 50 bytes each: the last has to wait for 10 s
  t.after(() => limiters.forEach((limiter) => void limiter.destroy()));
  for (const limiter of limiters) limiter.write(Buffer.alloc(50));
  bytes = 100_000_000;
  const begin = performance.now();
  await once(limiters.at(-1) as Limiter, 'data');
  const seconds = (performance.now() - begin) / 1000;
  assert.ok(seconds < 5, `${seconds} s`);
});

it('a file that is broken, mended and broken again is told twice', (t) => {
  const file = join(new Scope(t).folder(), 'rates');
  let time = 0;
  t.mock.method(performance, 'now', () => (time += 1_000));
  const told: string[] = [];
  const rules = new Rules([], file);
  rules.onFault = (reason) => told.push(reason);
  for (const text of ['send=nonsense', 'send=5K', 'send=nonsense']) {
    writeFileSync(file, text);
    utimesSync(file, ++time, time); // two writes may fall into one tick of the clock
    rules.rate('send');
  }
  assert.equal(told.length, 2, told.join('\n'));
  assert.equal(rules.rate('send'), 5_000);
  renameSync(file, `${file}.away`);
  rules.rate('send');
  renameSync(`${file}.away`, file);
  writeFileSync(file, 'send=6K');
  assert.equal(rules.rate('send'), 6_000);
  renameSync(file, `${file}.away`);
  rules.rate('send');
  assert.deepEqual(
    told.slice(2).map((reason) => /ENOENT/.test(reason)),
    [true, true],
  );
});

it('a file that is broken later leaves the rates as they were, and is told once', (t) => {
  const file = join(new Scope(t).folder(), 'rates');
  writeFileSync(file, 'send=5K');
  t.mock.method(performance, 'now', () => (time += 1_000));
  let time = 0;
  const told: string[] = [];
  const rules = new Rules([], file);
  rules.onFault = (reason) => told.push(reason);
  assert.equal(rules.rate('send'), 5_000);
  writeFileSync(file, 'send=nonsense');
  assert.deepEqual([rules.rate('send'), rules.rate('send')], [5_000, 5_000]);
  assert.match(told.join('\n'), /^\S+rates: line 1: expected a rate.*$/);
});

it('a link is as fast as its file says, and faster when that is changed while it runs', async (t) => {
  const scope = new Scope(t);
  const file = join(scope.folder(), 'rates');
  writeFileSync(file, 'send=200K\n');
  const { client } = await joinedBy(scope, 'sluice/rate', 'rate', 'exec:cat', { sink: `rate.file=${file}` });
  const begin = performance.now();
  let came = 0;
  const past = (bytes: number): Promise<number> =>
    new Promise((resolve) => client.on('data', () => came >= bytes && resolve(performance.now() - begin)));
  client.on('data', (chunk: Buffer) => (came += chunk.length));
  client.write(Buffer.alloc(8_000_000));
  const slow = await past(200_000);
  assert.ok(slow > 800, `200,000 bytes came after ${Math.round(slow)} ms`);
  writeFileSync(file, 'send=off\n');
  const all = await past(8_000_000);
  assert.ok(all - slow < 8_000, `the rest came ${Math.round(all - slow)} ms after the change: 40 s at the old rate`);
  t.diagnostic(
    `200 KB in ${Math.round(slow)} ms at 200 KB/s; 7.8 MB more in ${Math.round(all - slow)} ms without a limit`,
  );
});
