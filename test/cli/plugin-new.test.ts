/** `sluice plugin new` writes what passes at once; `sluice plugin check` tells what is wrong. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { sluice } from '../support/command.ts';
import { run } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

/** npm without a network. */
const npm = (scope: Scope, cwd: string, ...args: string[]) =>
  run(scope, 'npm', args, {
    cwd,
    env: {
      PATH: `${dirname(process.execPath)}:${process.env['PATH']}`,
      HOME: scope.folder(),
      npm_config_offline: 'true',
    },
  });

describe('a new plugin', () => {
  for (const [kind, flags] of [
    ['transport', []],
    ['layer', ['--layer']],
  ] as const)
    it(`that is a ${kind} passes its own test, without a network`, async (t) => {
      const scope = new Scope(t);
      const cwd = scope.folder();
      const { code, stdout } = await sluice(scope, ['plugin', 'new', 'chat', ...flags], '', { cwd });
      assert.deepEqual([code, stdout], [0, `${cwd}/sluice-chat\nNext: cd sluice-chat && npm test\n`]);
      const test = await npm(scope, join(cwd, 'sluice-chat'), 'test');
      assert.equal(test.code, 0, test.stdout.toString());
      assert.match(test.stdout.toString(), /chat\+?: keeps its promises/);
      const check = await sluice(scope, ['plugin', 'check', './sluice-chat'], '', { cwd });
      assert.equal(check.code, 0, check.stdout);
    });

  it('is not written over one that is there', async (t) => {
    const scope = new Scope(t);
    const cwd = scope.folder();
    await sluice(scope, ['plugin', 'new', 'chat'], '', { cwd });
    const { code, stderr } = await sluice(scope, ['plugin', 'new', 'chat'], '', { cwd });
    assert.equal(code, 255);
    assert.match(stderr, /sluice-chat is there already \[SLUICE_USAGE\]/);
  });

  it('is refused under a name that is none', async (t) => {
    const { code, stderr } = await sluice(new Scope(t), ['plugin', 'new', '../x']);
    assert.equal(code, 255);
    assert.match(stderr, /expected a name of a-z, 0-9 and "-", a letter first, got "\.\.\/x"/);
  });
});

it('a check tells each promise that is broken, and ends with 1', async (t) => {
  const scope = new Scope(t);
  const cwd = scope.folder();
  await sluice(scope, ['plugin', 'new', 'chat'], '', { cwd });
  const file = join(cwd, 'sluice-chat/chat.ts');
  writeFileSync(file, readFileSync(file, 'utf8').replace("['half-close']", "['half-close', 'proves-end']"));
  const { code, stdout } = await sluice(scope, ['plugin', 'check', './sluice-chat'], '', { cwd });
  assert.equal(code, 1);
  assert.match(stdout, /^NOT ok end-and-cut: proves an end.*\n {7}an end that was destroyed before it had ended/m);
  assert.match(stdout, /\n1 of \d+ checks failed\n$/);
});
