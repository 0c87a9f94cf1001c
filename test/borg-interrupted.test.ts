/** A backup that is interrupted: by Ctrl-C, and by the death of its client. The repository stays sound and unlocked. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { BorgClient, gateway, repositoryUrl, serveBelow } from './support/borg.ts';
import type { Program } from './support/programs.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';
import { makeTree } from './support/tree.ts';

assertNothingLeaks();

const tree = mkdtempSync(join(tmpdir(), 'sluice-borg-tree-'));
before(() => makeTree(tree, 'interrupted', 500, 50 * 1024 * 1024));
after(() => rmSync(tree, { recursive: true, force: true }));

/** A backup that has begun and is slow; resolves with its process, which leads a group of its own. */
async function beginBackup(client: BorgClient, repository: string): Promise<Program> {
  await client.ok(['init', '-e', 'none', repository]);
  const args = ['create', '-C', 'none', '--list', '--upload-ratelimit', '20000', `${repository}::tree`, '.'];
  const backup = client.start(args, tree);
  while (backup.said().split('\n').length < 50) await once(backup.child.stderr, 'data'); // it is in the middle
  return backup;
}

const signalGroup = ({ child }: Program, signal: NodeJS.Signals): boolean => process.kill(-(child.pid ?? 0), signal);

it('Ctrl-C lets borg write a checkpoint through the link, and leaves no lock', async (t) => {
  const scope = new Scope(t);
  const store = scope.folder();
  const client = new BorgClient(scope, await gateway(scope, 'wss', serveBelow(store)));
  const repository = repositoryUrl(join(store, 'repository'));
  const backup = await beginBackup(client, repository);
  signalGroup(backup, 'SIGINT');
  const { code, stderr } = await backup.ended;
  assert.equal(code, 2, stderr);
  const archives = await client.ok(['list', '--lock-wait', '0', '--consider-checkpoints', repository]);
  assert.match(archives, /^tree\.checkpoint /);
});

for (const carrier of ['unix', 'tls', 'wss']) {
  it(`a client that dies in the middle of a backup over ${carrier} leaves no lock, and a sound repository`, async (t) => {
    const scope = new Scope(t);
    const store = scope.folder();
    const client = new BorgClient(scope, await gateway(scope, carrier, serveBelow(store), 'resume=2s'));
    const repository = repositoryUrl(join(store, 'repository'));
    const backup = await beginBackup(client, repository);
    signalGroup(backup, 'SIGKILL');
    await backup.ended;
    await client.ok(['create', '--lock-wait', '10', '-C', 'none', `${repository}::again`, '.'], tree);
    await client.ok(['check', repository]);
  });
}
