/** The main job: a real borg, backing up through every transport, with the built command at both ends. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { certificates } from './support/certificates.ts';
import { COMMAND } from './support/command.ts';
import { run, start, startLink, type Program, type Ran } from './support/programs.ts';
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

/** A borg client with a home of its own, whose remote shell is `sluice connect ADDRESS`. */
class BorgClient {
  readonly folder: string;
  readonly #scope: Scope;
  readonly #env: NodeJS.ProcessEnv;

  constructor(scope: Scope, address: string) {
    this.#scope = scope;
    this.folder = scope.folder();
    this.#env = {
      PATH: process.env['PATH'],
      LANG: 'C.UTF-8',
      HOME: this.folder,
      BORG_BASE_DIR: this.folder,
      BORG_RSH: `sh -c 'exec "${process.execPath}" "${COMMAND}" connect "${address}"'`,
      BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
      BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes',
    };
  }

  /** In a process group of its own, so that it can get a Ctrl-C as from a terminal. */
  start(args: readonly string[], cwd: string): Program {
    return start(this.#scope, 'borg', args, { cwd, env: this.#env, detached: true });
  }

  run(args: readonly string[], cwd = this.folder): Promise<Ran> {
    return run(this.#scope, 'borg', args, { cwd, env: this.#env });
  }

  /** Runs it to a good end, and resolves with its standard output. */
  async ok(args: readonly string[], cwd = this.folder): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, cwd);
    assert.equal(code, 0, `borg ${args.join(' ')}: ${stderr}`);
    return stdout.toString();
  }
}

const repositoryUrl = (path: string): string => `ssh://gateway${path}`;

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

const keyPair = (): string => `cert=${certificates().server.cert}&key=${certificates().server.key}`;
const authority = (): string => `ca=${certificates().ca}`;

/** Where a gateway listens, and the options with which a client dials it. */
const CARRIERS: Readonly<Record<string, (folder: string) => { source: string; options: string }>> = {
  unix: (folder) => ({ source: `unix:${folder}/gateway.sock`, options: '' }),
  tcp: () => ({ source: 'tcp://127.0.0.1:0', options: '' }),
  tls: () => ({ source: `tls://127.0.0.1:0?${keyPair()}`, options: `?${authority()}` }),
  ws: () => ({ source: 'ws://127.0.0.1:0/borg', options: '' }),
  wss: () => ({ source: `wss://127.0.0.1:0/borg?${keyPair()}`, options: `?${authority()}` }),
};

/** A gateway over one carrier; resolves with the address that its clients dial. */
async function gateway(scope: Scope, carrier: string, sink: string): Promise<string> {
  const place = CARRIERS[carrier]?.(scope.folder());
  assert.ok(place);
  const { address } = await startLink(scope, place.source, sink);
  return `${address}${place.options}`;
}

const serveBelow = (folder: string): string => `exec:borg serve --restrict-to-path ${folder}`;

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

it('Ctrl-C lets borg write a checkpoint through the link, and leaves no lock', async (t) => {
  const scope = new Scope(t);
  const store = scope.folder();
  const client = new BorgClient(scope, await gateway(scope, 'wss', serveBelow(store)));
  const repository = repositoryUrl(join(store, 'repository'));
  await client.ok(['init', '-e', 'none', repository]);
  const args = ['create', '-C', 'none', '--list', '--upload-ratelimit', '20000', `${repository}::tree`, '.'];
  const { child, ended, said } = client.start(args, large.folder);
  while (said().split('\n').length < 50) await once(child.stderr, 'data'); // it is in the middle
  process.kill(-(child.pid ?? 0), 'SIGINT');
  const { code, stderr } = await ended;
  assert.equal(code, 2, stderr);
  assert.match(
    await client.ok(['list', '--lock-wait', '0', '--consider-checkpoints', repository]),
    /^tree\.checkpoint /,
  );
});
