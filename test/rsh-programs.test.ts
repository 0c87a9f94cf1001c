/** rsync, git, sftp, scp and sshfs with `sluice rsh` in place of ssh. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { whyNoFuse } from './support/fuse.ts';
import { git, gitUrl, makeRepository, ok, rsync, scp, sftp } from './support/over-rsh.ts';
import { run, start } from './support/programs.ts';
import { startFar, type Far, type RshCarrier } from './support/rsh.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';
import { hashTree, makeTree, seededBytes } from './support/tree.ts';

assertNothingLeaks();

const MIB = 1024 * 1024;
const ODD = `it's "odd" & $HOME ; ü`;

const begin = (scope: Scope, carrier: RshCarrier): Promise<Far> =>
  startFar(scope, carrier, '{ shell: "" }', { link: 'services: { sftp: "sftp:" }' });

/** A folder whose own name, and that of one of its files, has blanks and quotes. */
function oddTree(scope: Scope): string {
  const folder = join(scope.folder(), ODD);
  makeTree(folder, 'rsh', 40, 2 * MIB);
  writeFileSync(join(folder, `${ODD}.txt`), 'odd');
  return folder;
}

for (const carrier of ['wss', 'tls'] as const) {
  describe(`over ${carrier}`, () => {
    it('rsync brings a tree there and back, whatever its names', async (t) => {
      const scope = new Scope(t);
      const [far, tree] = [await begin(scope, carrier), oddTree(scope)];
      const [there, back] = [join(scope.folder(), ODD), join(scope.folder(), ODD)];
      await ok(rsync(scope, far, '-a', `${tree}/`, `me@far:${there}/`));
      await ok(rsync(scope, far, '-a', `me@far:${there}/`, `${back}/`));
      assert.deepEqual(hashTree(there), hashTree(tree));
      assert.deepEqual(hashTree(back), hashTree(tree));
    });

    it('git pushes to, and clones from, a URL with a port', async (t) => {
      const scope = new Scope(t);
      const far = await begin(scope, carrier);
      const [bare, clone] = [join(scope.folder(), ODD), join(scope.folder(), 'clone')];
      const repository = await makeRepository(scope, far, 40, 2 * MIB);
      await ok(git(scope, far, 'init', '-q', '--bare', bare));
      await ok(git(scope, far, '-C', repository, 'push', '-q', gitUrl(bare), 'HEAD'));
      await ok(git(scope, far, 'clone', '-q', gitUrl(bare), clone));
      await ok(git(scope, far, '-C', clone, 'fsck', '--full'));
      assert.deepEqual(hashTree(join(clone, 'tree')), hashTree(join(repository, 'tree')));
    });
  });
}

it('sftp puts and gets', async (t) => {
  const scope = new Scope(t);
  const [far, folder, sent] = [await begin(scope, 'unix'), scope.folder(), seededBytes('sftp', 3 * MIB)];
  writeFileSync(join(folder, 'sent'), sent);
  const commands = [`put ${folder}/sent "${folder}/on the way"`, `get "${folder}/on the way" ${folder}/back`];
  await ok(sftp(scope, far, commands));
  assert.ok(readFileSync(join(folder, 'back')).equals(sent));
});

/** How the path of a far file is written for each way of scp: the old one has the far shell read it. */
const SCP_WAYS = [
  { name: 'scp', options: [], quoted: (path: string) => path },
  { name: 'the old protocol of scp', options: ['-O'], quoted: (path: string) => path.replaceAll(/[^\w/.-]/gu, '\\$&') },
];
for (const { name, options, quoted } of SCP_WAYS) {
  it(`${name} copies a folder there and back`, async (t) => {
    const scope = new Scope(t);
    const [far, tree, there, back] = [await begin(scope, 'wss'), oddTree(scope), scope.folder(), scope.folder()];
    await ok(scp(scope, far, '-rq', ...options, tree, `me@far:${there}`));
    await ok(scp(scope, far, '-rq', ...options, `far:${quoted(join(there, ODD))}`, back));
    assert.deepEqual(hashTree(there), hashTree(join(tree, '..')));
    assert.deepEqual(hashTree(back), hashTree(there));
  });
}

/** Mounts a far folder; resolves with what unmounts it, and with where it is. */
async function mount(scope: Scope, far: Far, folder: string): Promise<{ at: string; unmount: () => Promise<unknown> }> {
  const at = join(scope.folder(), 'mounted');
  mkdirSync(at);
  const args = ['-o', `ssh_command=${far.rsh}`, `me@far:${folder}`, at];
  const sshfs = start(scope, 'sshfs', args, { env: far.environment });
  const unmount = (): Promise<unknown> => run(scope, 'fusermount3', ['-u', at]);
  scope.defer(unmount); // fails if it was unmounted before
  const [code] = (await once(sshfs.child, 'exit')) as [number | null]; // it goes on in the background, with our pipes
  assert.equal(code, 0, sshfs.said());
  return { at, unmount: () => Promise.all([unmount(), sshfs.ended]) };
}

it('sshfs mounts a far folder, into which files are copied and read again', { skip: whyNoFuse() }, async (t) => {
  const scope = new Scope(t);
  const [far, there, tree] = [await begin(scope, 'tls'), scope.folder(), oddTree(scope)];
  const { at, unmount } = await mount(scope, far, there);
  cpSync(tree, join(at, 'copy'), { recursive: true });
  assert.deepEqual(hashTree(join(at, 'copy')), hashTree(tree));
  await unmount();
  assert.deepEqual(readdirSync(at), []);
  assert.deepEqual(hashTree(join(there, 'copy')), hashTree(tree));
});

describe('a program sees how its far command failed', () => {
  it('rsync: that there is no rsync there', async (t) => {
    const scope = new Scope(t);
    const [far, folder] = [await begin(scope, 'wss'), scope.folder()];
    const { code, stderr } = await rsync(scope, far, '-a', '--rsync-path=no-such-rsync', `${folder}/`, 'far:/none/');
    assert.match(stderr, /no-such-rsync: (?:command )?not found/);
    assert.match(stderr, /rsync error: /);
    assert.ok(code === 12 || code === 127, `${code}`); // also with ssh: it may look before its remote shell has ended
  });

  it('git: that there is no repository there', async (t) => {
    const scope = new Scope(t);
    const [far, folder] = [await begin(scope, 'tls'), scope.folder()];
    const { code, stderr } = await git(scope, far, 'clone', gitUrl(`${folder}/none`), `${folder}/clone`);
    assert.equal(code, 128);
    assert.match(stderr, /none' does not appear to be a git repository/);
  });

  it('sftp: that there is no such file there', async (t) => {
    const scope = new Scope(t);
    const [far, folder] = [await begin(scope, 'tls'), scope.folder()];
    const { code, stderr } = await sftp(scope, far, [`get ${folder}/none ${folder}/got`]);
    assert.equal(code, 1);
    assert.match(stderr, /none" not found/);
  });
});
