/** The main job: a real borg, backing up through every transport, with the built command at both ends. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { BorgClient, CARRIERS, gateway, repositoryUrl, serveBelow } from './support/borg.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';
import { hashTree, makeTree } from './support/tree.ts';

assertNothingLeaks();

interface Tree {
  readonly folder: string;
  readonly files: number;
  readonly hashes: ReadonlyMap<string, string>;
}

const MIB = 1024 * 1024;
const trees = mkdtempSync(join(tmpdir(), 'sluice-borg-trees-'));
let large: Tree;
let small: Tree;

function plant(name: string, files: number, bytes: number): Tree {
  const folder = join(trees, name);
  makeTree(folder, name, files, bytes);
  return { folder, files, hashes: hashTree(folder) };
}

before(() => {
  large = plant('large', 2_000, 200 * MIB);
  small = plant('small', 300, 30 * MIB);
});
after(() => rmSync(trees, { recursive: true, force: true }));

/** init, create, list, extract, check; the extracted files are the backed-up ones. */
async function backUpAndRestore(client: BorgClient, path: string, tree: Tree): Promise<void> {
  const repository = repositoryUrl(path);
  const archive = `${repository}::tree`;
  await client.ok(['init', '-e', 'none', repository]);
  await client.ok(['create', '-C', 'none', archive, '.'], tree.folder);
  assert.match(await client.ok(['list', repository]), /^tree /);
  assert.equal((await client.ok(['list', '--format', '{type}', archive])).replaceAll('d', '').length, tree.files);
  const restored = join(client.folder, 'restored');
  mkdirSync(restored);
  await client.ok(['extract', archive], restored);
  assert.deepEqual(hashTree(restored), tree.hashes);
  await client.ok(['check', '--verify-data', repository]);
}

for (const carrier of Object.keys(CARRIERS)) {
  it(`borg backs up 2,000 files of 200 MiB through ${carrier}, and gets them back`, async (t) => {
    const scope = new Scope(t);
    const store = scope.folder();
    const client = new BorgClient(scope, await gateway(scope, carrier, serveBelow(store)));
    await backUpAndRestore(client, join(store, 'repository'), large);
  });
}

it('borg backs up through two chained gateways, unix to wss to the command', async (t) => {
  const scope = new Scope(t);
  const store = scope.folder();
  const far = await gateway(scope, 'wss', serveBelow(store));
  const near = await gateway(scope, 'unix', far);
  await backUpAndRestore(new BorgClient(scope, near), join(store, 'repository'), large);
});

it('two clients at once back up into two repositories through one gateway', async (t) => {
  const scope = new Scope(t);
  const store = scope.folder();
  const address = await gateway(scope, 'wss', serveBelow(store));
  const clients = ['one', 'two'].map((name) => ({ name, client: new BorgClient(scope, address) }));
  await Promise.all(clients.map(({ name, client }) => backUpAndRestore(client, join(store, name), small)));
});

it('a path outside the restriction is refused, and the client sees borg’s own message', async (t) => {
  const scope = new Scope(t);
  const [store, outside] = [scope.folder(), scope.folder()];
  for (const carrier of ['unix', 'wss']) {
    const client = new BorgClient(scope, await gateway(scope, carrier, serveBelow(store)));
    const { code, stderr } = await client.run(['init', '-e', 'none', repositoryUrl(join(outside, 'repository'))]);
    assert.equal(code, 2);
    assert.match(stderr, /Repository path not allowed: .*repository/);
  }
});
