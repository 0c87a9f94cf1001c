/** Real borg, 1.2 and 2, with `sluice rsh` in place of ssh. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BORGS, BorgOverRsh, type BorgKind } from './support/borg-over-rsh.ts';
import { run, start, type Program } from './support/programs.ts';
import { startFar } from './support/rsh.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';
import { hashTree, makeTree } from './support/tree.ts';

assertNothingLeaks();

const SHELL = '{ shell: "" }';
const [borg1, borg2] = BORGS as [BorgKind, BorgKind];

const tree = mkdtempSync(join(tmpdir(), 'sluice-borg-tree-'));
before(() => makeTree(tree, 'rsh', 300, 20 * 1024 * 1024));
after(() => rmSync(tree, { recursive: true, force: true }));

for (const kind of BORGS) {
  describe(`${kind.name} by sluice rsh`, () => {
    for (const carrier of ['wss', 'tls', 'unix'] as const) {
      it(`creates, lists, checks and extracts over ${carrier}, and gets back what it gave`, async (t) => {
        const scope = new Scope(t);
        const [far, store] = [await startFar(scope, carrier, SHELL), scope.folder()];
        const borg = new BorgOverRsh(scope, kind, far);
        await borg.ok(kind.init(store));
        await borg.ok(kind.create(store, 'tree'), tree);
        assert.match(await borg.ok(kind.list(store)), /\btree\b/);
        await borg.ok(kind.check(store));
        const restored = join(borg.folder, 'restored');
        mkdirSync(restored);
        await borg.ok(kind.extract(store, 'tree'), restored);
        assert.deepEqual(hashTree(restored), hashTree(tree));
      });
    }

    it('shows the far shell’s own message where there is no borg, and its status', async (t) => {
      const scope = new Scope(t);
      const far = await startFar(scope, 'tls', SHELL);
      const borg = new BorgOverRsh(scope, kind, far, { BORG_REMOTE_PATH: 'no-such-borg' });
      const { code, stderr } = await borg.run(kind.list(scope.folder()));
      assert.equal(code, 2);
      assert.match(stderr, /no-such-borg: (?:command )?not found/);
      if (kind === borg2) assert.match(stderr, /exited with code 127/);
    });
  });
}

it('borg 1 serves by a forced command, which takes its options from the client’s and keeps to its path', async (t) => {
  const scope = new Scope(t);
  const store = scope.folder();
  const far = await startFar(scope, 'wss', `{ exec: [borg, serve, --restrict-to-path, ${store}] }`);
  const borg = new BorgOverRsh(scope, borg1, far);
  await borg.ok(borg1.init(store));
  await borg.ok(borg1.create(store, 'tree'), tree);
  const { code, stderr } = await borg.run(borg1.init(scope.folder()));
  assert.notEqual(code, 0);
  assert.match(stderr, /Repository path not allowed/);
});

/** A backup that has begun and is slow. */
async function beginBackup(borg: BorgOverRsh, kind: BorgKind, store: string): Promise<Program> {
  await borg.ok(kind.init(store));
  const backup = borg.start(kind.create(store, 'tree', '--list', '--upload-ratelimit', '4000'), tree);
  while (backup.said().split('\n').length < 20) await once(backup.child.stderr, 'data'); // it is in the middle
  return backup;
}

it('Ctrl-C in the middle lets borg 1 write a checkpoint, and leaves no lock', async (t) => {
  const scope = new Scope(t);
  const [far, store] = [await startFar(scope, 'wss', SHELL), scope.folder()];
  const borg = new BorgOverRsh(scope, borg1, far);
  const backup = await beginBackup(borg, borg1, store);
  process.kill(-(backup.child.pid ?? 0), 'SIGINT');
  const { code, stderr } = await backup.ended;
  assert.equal(code, 2, stderr);
  const archives = await borg.ok(borg1.list(store, '--lock-wait', '0', '--consider-checkpoints'));
  assert.match(archives, /^tree\.checkpoint /);
});

it('Ctrl-C on a pipeline into rsh is an abort at the far command, never an end of its input', async (t) => {
  const scope = new Scope(t);
  const far = await startFar(scope, 'tls', SHELL);
  const upload = `${scope.folder()}/upload`;
  const script = `(echo half; sleep 30) | ${far.rsh} far 'cat > ${upload}.part && mv ${upload}.part ${upload}'; echo "status $?"`;
  const pipeline = start(scope, 'bash', ['-c', `trap : INT; ${script}`], { env: far.environment, detached: true });
  await far.gateway.untilStderr(/opened/);
  const until = `until [ -s ${upload}.part ]; do sleep 0.05; done`;
  await run(scope, 'sh', ['-c', until]);
  process.kill(-(pipeline.child.pid ?? 0), 'SIGINT');
  const { stdout, stderr, code, signal } = await pipeline.ended;
  assert.match(stdout.toString(), /status 130/, `${code} ${signal}: ${stderr}`);
  await far.gateway.untilStderr(/closed .*how=cut/);
  assert.equal((await run(scope, 'ls', [upload])).code, 2, 'half an upload looks complete');
});
