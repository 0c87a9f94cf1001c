/**
 * Real programs over `sluice rsh`, every connection of which is cut 300 ms after it began (the first, one second): nothing of it
 * reaches them. And without resume: they fail, and leave nothing that looks complete.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BORGS, BorgOverRsh, type BorgKind } from './support/borg-over-rsh.ts';
import { git, gitUrl, makeRepository, ok, rsync, sftp } from './support/over-rsh.ts';
import type { Ran } from './support/programs.ts';
import { startFar, type Far, type FarOptions, type RshCarrier } from './support/rsh.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';
import { Storm, type Weather } from './support/storm.ts';
import { hashTree, makeTree, seededBytes } from './support/tree.ts';

assertNothingLeaks();

/** Many cuts at the storm’s rate; more than four also where a busy machine makes each connection live as long as it may. */
const BYTES = 3_000_000;
const [borg1, borg2] = BORGS as [BorgKind, BorgKind];

const tree = mkdtempSync(join(tmpdir(), 'sluice-cuts-tree-'));
before(() => makeTree(tree, 'cuts', 30, BYTES));
after(() => rmSync(tree, { recursive: true, force: true }));

interface Ground {
  readonly scope: Scope;
  readonly storm: Storm;
  readonly far: Far;
  /** Folders for this test: far, and near. */
  readonly there: string;
  readonly near: string;
}

async function prepare(
  scope: Scope,
  carrier: RshCarrier,
  weather?: Weather,
  options: FarOptions = {},
): Promise<Ground> {
  const storm = new Storm(scope, weather);
  const services = 'services: { sftp: "sftp:" }';
  const far = await startFar(scope, carrier, '{ shell: "" }', { link: services, through: storm.through, ...options });
  return { scope, storm, far, there: scope.folder(), near: scope.folder() };
}

/** One cut, in the middle, is enough; and the far side gives up at once, too. */
const prepareWithoutResume = (scope: Scope, carrier: RshCarrier): Promise<Ground> =>
  prepare(
    scope,
    carrier,
    { first: 1_500, life: 1_500, rate: 300_000 },
    { options: ['--no-resume'], source: 'resume=off' },
  );

/** Runs a step in the storm to a good end, and sees to it that it was cut at least so often. */
async function survives({ storm }: Ground, cuts: number, step: () => Promise<unknown>): Promise<void> {
  const earlier = storm.caught;
  await storm.during(step);
  const seen = storm.caught - earlier - 1;
  assert.ok(seen >= cuts, `${seen} cuts`);
}

/** Runs a step in the storm to a bad end, also of what it started at the far side. */
async function fails({ storm, far }: Ground, step: () => Promise<Ran>): Promise<Ran> {
  const ran = await storm.during(step);
  assert.notEqual(ran.code, 0, ran.stderr);
  await far.gateway.untilStderr(/session ended[^]*: closed /);
  return ran;
}

/** They wait more than they compute. */
describe('while every connection is cut', { concurrency: 3 }, () => {
  it('borg 1 without resume fails, and leaves a sound repository without a lock and without the archive', async (t) => {
    const ground = await prepareWithoutResume(new Scope(t), 'wss');
    const { scope, far, there } = ground;
    const borg = new BorgOverRsh(scope, borg1, far);
    await borg.ok(borg1.init(there));
    await fails(ground, () => borg.run(borg1.create(there, 'tree'), tree));
    await borg.ok(borg1.check(there));
    assert.equal(await borg.ok(borg1.list(there)), '');
  });

  it('borg 2 without resume loses its connection, and leaves a sound repository without the archive', async (t) => {
    const ground = await prepareWithoutResume(new Scope(t), 'wss');
    const { scope, far, there } = ground;
    const borg = new BorgOverRsh(scope, borg2, far);
    await borg.ok(borg2.init(there));
    await fails(ground, async () => {
      const backup = borg.start(borg2.create(there, 'tree'), tree);
      while (!/rest: connection lost/.test(backup.said())) await once(backup.child.stderr, 'data');
      process.kill(-(backup.child.pid ?? 0), 'SIGKILL'); // it would try again for a minute
      return backup.ended;
    });
    await borg.ok(borg2.check(there));
    assert.equal(await borg.ok(borg2.list(there)), '');
  });

  it('rsync without resume fails, and leaves nothing under a final name that is not whole', async (t) => {
    const ground = await prepareWithoutResume(new Scope(t), 'tls');
    const { scope, far, there } = ground;
    await fails(ground, () => rsync(scope, far, '-a', `${tree}/`, `far:${there}/`));
    const [sent, came] = [hashTree(tree), hashTree(there)];
    const wrong = [...came].filter(([path, hash]) => !/\/\.[^/]*$/.test(path) && sent.get(path) !== hash);
    assert.deepEqual(wrong, []);
    assert.ok(came.size < sent.size);
  });

  it('git without resume fails, and leaves no clone', async (t) => {
    const ground = await prepareWithoutResume(new Scope(t), 'wss');
    const { scope, far, near } = ground;
    const repository = await makeRepository(scope, far, 30, BYTES);
    await fails(ground, () => git(scope, far, 'clone', '-q', gitUrl(repository), `${near}/clone`));
    assert.ok(!existsSync(`${near}/clone`));
  });

  it('sftp without resume fails, and what came is not all', async (t) => {
    const ground = await prepareWithoutResume(new Scope(t), 'tls');
    const { scope, far, there, near } = ground;
    writeFileSync(join(near, 'sent'), seededBytes('cuts', BYTES));
    await fails(ground, () => sftp(scope, far, [`put ${near}/sent ${there}/came`]));
    const came = statSync(join(there, 'came'), { throwIfNoEntry: false })?.size ?? 0; // it may not have begun
    assert.ok(came < BYTES, `${came} bytes`);
  });

  it('borg 1 creates, checks and extracts over wss', async (t) => {
    const ground = await prepare(new Scope(t), 'wss');
    const { scope, far, there, near } = ground;
    const borg = new BorgOverRsh(scope, borg1, far);
    await borg.ok(borg1.init(there));
    await survives(ground, 4, () => borg.ok(borg1.create(there, 'tree'), tree));
    await survives(ground, 0, () => borg.ok(borg1.check(there)));
    await survives(ground, 4, () => borg.ok(borg1.extract(there, 'tree'), near));
    assert.deepEqual(hashTree(near), hashTree(tree));
  });

  it('borg 2 creates and checks over tls', async (t) => {
    const ground = await prepare(new Scope(t), 'tls');
    const { scope, far, there, near } = ground;
    const borg = new BorgOverRsh(scope, borg2, far);
    await borg.ok(borg2.init(there));
    await survives(ground, 4, () => borg.ok(borg2.create(there, 'tree'), tree));
    await survives(ground, 1, () => borg.ok(borg2.check(there)));
    await borg.ok(borg2.extract(there, 'tree'), near);
    assert.deepEqual(hashTree(near), hashTree(tree));
  });

  it('rsync brings a tree there over tls', async (t) => {
    const ground = await prepare(new Scope(t), 'tls');
    const { scope, far, there } = ground;
    await survives(ground, 4, () => ok(rsync(scope, far, '-a', `${tree}/`, `far:${there}/`)));
    assert.deepEqual(hashTree(there), hashTree(tree));
  });

  it('git clones over wss', async (t) => {
    const ground = await prepare(new Scope(t), 'wss');
    const { scope, far, near } = ground;
    const repository = await makeRepository(scope, far, 30, BYTES);
    const clone = join(near, 'clone');
    await survives(ground, 4, () => ok(git(scope, far, 'clone', '-q', gitUrl(repository), clone)));
    await ok(git(scope, far, '-C', clone, 'fsck', '--full'));
    assert.deepEqual(hashTree(join(clone, 'tree')), hashTree(join(repository, 'tree')));
  });

  it('sftp puts over tls', async (t) => {
    const ground = await prepare(new Scope(t), 'tls');
    const { scope, far, there, near } = ground;
    writeFileSync(join(near, 'sent'), seededBytes('cuts', BYTES));
    await survives(ground, 4, () => ok(sftp(scope, far, [`put ${near}/sent ${there}/came`])));
    assert.ok(readFileSync(join(there, 'came')).equals(seededBytes('cuts', BYTES)));
  });
});
