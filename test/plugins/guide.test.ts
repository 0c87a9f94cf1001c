/** docs/plugins.md is all that a stranger has: its transport and its layer, outside this project, keep every promise. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { COMMAND, sluice } from '../support/command.ts';
import { run, startLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { hashTree, makeTree } from '../support/tree.ts';

assertNothingLeaks();

const guide = readFileSync(join(import.meta.dirname, '../../docs/plugins.md'), 'utf8');

/** The examples of the guide, by their file names. */
const examples = new Map(
  [...guide.matchAll(/```ts\n\/\/ (\S+)\n([^]*?)```/g)].map(([, name = '', text = '']) => [name, text]),
);

function written(scope: Scope, name: string): { folder: string; text: string } {
  const [folder, text = ''] = [scope.folder(), examples.get(name)];
  writeFileSync(join(folder, name), text, { mode: 0o600 });
  return { folder, text };
}

for (const name of ['hidden.ts', 'veil.ts'])
  it(`${name} keeps every promise, in at most 30 lines`, async (t) => {
    const scope = new Scope(t);
    const { folder, text } = written(scope, name);
    assert.ok(text.trim().split('\n').length <= 30);
    const { code, stdout } = await sluice(scope, ['plugin', 'check', `./${name}`], '', { cwd: folder });
    assert.equal(code, 0, stdout);
    assert.match(stdout, /\d+ checks, every promise is kept\n$/);
  });

it('the transport of the guide carries a borg backup, there and back', async (t) => {
  const scope = new Scope(t);
  const { folder } = written(scope, 'hidden.ts');
  const [repository, data, back] = [join(scope.folder(), 'repo'), scope.folder(), scope.folder()];
  makeTree(data, 'guide', 200, 8_000_000);
  const plugin = join(folder, 'hidden.ts');
  const address = `hidden:sluice-guide-${process.pid}`;
  await startLink(scope, address, `exec:borg serve --restrict-to-path ${repository}`, '--plugin', plugin);
  const env = {
    PATH: process.env['PATH'],
    LANG: 'C.UTF-8',
    HOME: folder,
    BORG_BASE_DIR: folder,
    BORG_RSH: `sh -c 'exec "${process.execPath}" "${COMMAND}" connect -q --plugin "${plugin}" "${address}"'`,
    BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
  };
  const url = `ssh://x${repository}`;
  for (const [cwd, ...args] of [
    [data, 'init', '--encryption=none', url],
    [data, 'create', `${url}::a`, '.'],
    [back, 'extract', `${url}::a`],
  ] as const) {
    const { code, stderr } = await run(scope, 'borg', args, { cwd, env });
    assert.equal(code, 0, stderr);
  }
  assert.deepEqual(hashTree(back), hashTree(data));
});
