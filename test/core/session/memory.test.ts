/** What an idle stream costs, on each side, in a process of its own. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { it } from 'node:test';
import { promisify } from 'node:util';
import { assertNothingLeaks } from '../../support/scope.ts';

assertNothingLeaks();

const PROGRAM = join(import.meta.dirname, '../../support/idle-streams.ts');

for (const side of ['dialer', 'listener']) {
  it(`an idle stream costs the ${side} less than 10 KiB`, async (t) => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', PROGRAM, side]);
    t.diagnostic(`${stdout.trim()} bytes`);
    assert.ok(Number(stdout) > 0 && Number(stdout) < 10 * 1024, `${stdout} bytes`);
  });
}
