/** What a flood makes of the log: lines are left out, and counted; long ones are cut. */
import assert from 'node:assert/strict';
import { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { logLines } from '../../core/diagnostics.ts';
import { createLog, type CoreLog, type LogFormat, type LogLevel } from '../../core/log.ts';
import { RecordedLog } from '../support/gateway.ts';
import { assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

/** A log into memory. */
function logTo(format: LogFormat, level: LogLevel = 'info'): { log: CoreLog; lines: string[] } {
  const lines: string[] = [];
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  return { log: createLog({ level, format, colour: false, output }), lines };
}

describe('a flood', () => {
  it('is cut to 200 lines a second and one that counts the others; warnings have a share of their own', (t: TestContext) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { log, lines } = logTo('text');
    for (let count = 0; count < 5_000; count += 1) log.info('opened', { count });
    const told = lines.length;
    assert.ok(told >= 400 && told < 600, `${told} lines`);
    log.warn('connection refused');
    assert.match(lines.at(-1) ?? '', /connection refused/);
    t.mock.timers.tick(10_000);
    assert.match(
      lines.at(-1) ?? '',
      new RegExp(`warn .*log lines left out {2}count=${5_000 - told} seconds=10 limit=200`),
    );
    t.mock.timers.tick(60_000);
    assert.equal(lines.length, told + 2);
  });

  it('is shown to who asks for everything', () => {
    const { log, lines } = logTo('text', 'debug');
    for (let count = 0; count < 1_000; count += 1) log.info('opened', { count });
    assert.equal(lines.length, 1_000);
  });
});

describe('a line', () => {
  const value = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 9_000, size: 'max' }),
    fc.string({ maxLength: 9_000, size: 'max' }),
    fc.integer(),
  );
  for (const format of ['text', 'json'] as const) {
    it(`as ${format} is no longer than 4 KiB, whatever is in it, and the short values are whole`, () => {
      const { log, lines } = logTo(format);
      fc.assert(
        fc.property(value, fc.array(value, { maxLength: 9 }), (reason, list) => {
          lines.length = 0;
          log.child({ link: 'borg' }).error('it failed', { reason, list, code: 'SLUICE_DIAL' });
          const [line = ''] = lines;
          if (lines.length === 0) return; // too many of them by now
          assert.ok(Buffer.byteLength(line) <= 4096, `${Buffer.byteLength(line)} bytes`);
          assert.match(line, /SLUICE_DIAL/);
          if (format === 'json') JSON.parse(line);
        }),
        { numRuns: 300, endOnFailure: true },
      );
    });
  }

  it('of a command’s standard error is broken where the log would cut it, and nothing is lost', async () => {
    const said = `${'x'.repeat(5_000)}${'ü"\u001b'.repeat(2_000)}${'語'.repeat(3_000)}`;
    const [recorded, { log, lines }] = [new RecordedLog(), logTo('json')];
    const from = Readable.from([Buffer.from(`${said}\nshort\n`)]);
    logLines(from, recorded.asLog());
    const pieces = text(from).then(() => recorded.lines.map(({ fields }) => String(fields['line'])));
    for (const line of await pieces) log.info('stderr', { line });
    assert.equal(lines.map((line) => JSON.parse(line).properties.line).join(''), `${said}short`);
    assert.ok(lines.every((line) => Buffer.byteLength(line) <= 4096));
  });
});
