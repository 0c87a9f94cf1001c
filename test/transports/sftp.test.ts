/** `sftp:` with the real client: a folder after it is a boundary, and `start` is none. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ok, sftp } from '../support/over-rsh.ts';
import { onlyPrograms } from '../support/path.ts';
import { startFar, type FarOptions } from '../support/rsh.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const isRoot = process.getuid?.() === 0;

interface Ground {
  readonly scope: Scope;
  /** What may be seen: it has `file`, `sub/`, and ways out: `way-out` and `out/`. */
  readonly root: string;
  /** Beside it: it has `secret`. */
  readonly outside: string;
  /** The client's own folder. */
  readonly near: string;
}

function prepare(scope: Scope): Ground {
  const [top, near] = [scope.folder(), scope.folder()];
  const [root, outside] = [join(top, 'root'), join(top, 'outside')];
  for (const folder of [root, join(root, 'sub'), outside]) mkdirSync(folder);
  writeFileSync(join(root, 'file'), 'may be seen');
  writeFileSync(join(outside, 'secret'), 'may not be seen');
  symlinkSync(join(outside, 'secret'), join(root, 'way-out'));
  symlinkSync(outside, join(root, 'out'));
  writeFileSync(join(near, 'sent'), 'sent');
  return { scope, root, outside, near };
}

/** Runs a batch of sftp at a link with this sink (as YAML). */
async function batch(
  { scope, near }: Ground,
  sink: string,
  commands: readonly string[],
  options: FarOptions = {},
): ReturnType<typeof sftp> {
  return sftp(scope, await startFar(scope, 'unix', sink, options), [`lcd ${near}`, ...commands]);
}

const got = ({ near }: Ground, name: string): string => readFileSync(join(near, name), 'utf8');

/** For the client: a command that may fail, and the next is tried. */
const attempt = (command: string): string => `-${command}`;

describe('sftp:/ROOT', () => {
  it('lets the client read and write below it, by the names that things have there', async (t) => {
    const ground = prepare(new Scope(t));
    const { root } = ground;
    const commands = [
      `get ${root}/file got`,
      'put sent sub/new',
      'rename sub/new sub/renamed',
      'mkdir more',
      'rm file',
    ];
    await ok(batch(ground, `"sftp:${root}"`, commands));
    assert.equal(got(ground, 'got'), 'may be seen');
    assert.equal(readFileSync(join(root, 'sub/renamed'), 'utf8'), 'sent');
    assert.deepEqual([existsSync(join(root, 'more')), existsSync(join(root, 'file'))], [true, false]);
  });

  it('lets nothing else be read, by no path and by no link', async (t) => {
    const ground = prepare(new Scope(t));
    const { root, outside, near } = ground;
    const paths = [
      '/etc/hostname',
      '/etc/group',
      '/proc/self/environ',
      '/proc/1/cmdline',
      '/bin/sh',
      `${outside}/secret`,
      '../outside/secret',
      `${root}/../outside/secret`,
      'way-out',
      'out/secret',
      'made',
    ];
    const commands = [
      attempt(`symlink ${outside}/secret made`),
      ...paths.map((path, at) => attempt(`get ${path} ${at}`)),
    ];
    await ok(
      batch(ground, `"sftp:${root}"`, [...commands, 'get /etc/passwd passwd', 'get file control', 'ls -a1 /etc']),
    );
    assert.deepEqual(
      paths.filter((_, at) => existsSync(join(near, String(at)))),
      [],
    );
    assert.equal(got(ground, 'control'), 'may be seen');
    assert.match(got(ground, 'passwd'), /^[^\n]+:x:\d+:\d+::\/:\/bin\/sh\n$/); // one line, and not the system's
  });

  it('lets nothing else be written', async (t) => {
    const ground = prepare(new Scope(t));
    const { scope, root, outside } = ground;
    const name = `sluice-test-${randomUUID()}`; // where the boundary has a hole, nothing of the system's is overwritten
    const targets = [`${outside}/${name}`, `/${name}`, `/etc/${name}`, `/usr/${name}`, join(root, '..', name)];
    scope.defer(() => targets.forEach((path) => rmSync(path, { force: true })));
    const paths = [...targets, `../outside/${name}`, `out/${name}`, 'way-out'];
    const attempts = [...paths.map((path) => `put sent ${path}`), `rm ${outside}/secret`].map(attempt);
    await ok(batch(ground, `"sftp:${root}"`, [...attempts, 'put sent control']));
    assert.deepEqual(
      targets.filter((path) => existsSync(path)),
      [],
    );
    assert.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'may not be seen');
    assert.ok(existsSync(join(root, 'control')));
  });

  it('with readonly=yes lets all be read and nothing be changed', async (t) => {
    const ground = prepare(new Scope(t));
    const { root } = ground;
    const changes = [
      'put sent new',
      'put sent file',
      'rm file',
      'rename file moved',
      'mkdir new',
      'rmdir sub',
      'chmod 777 file',
    ];
    await ok(batch(ground, `"sftp:${root}?readonly=yes"`, [...changes.map(attempt), 'get file got']));
    assert.equal(got(ground, 'got'), 'may be seen');
    assert.deepEqual(
      ['file', 'sub', 'new', 'moved'].map((name) => existsSync(join(root, name))),
      [true, true, false, false],
    );
    assert.notEqual(statSync(join(root, 'file')).mode & 0o777, 0o777);
  });

  it('may be a link to the folder', async (t) => {
    const ground = prepare(new Scope(t));
    const link = join(ground.near, 'link');
    symlinkSync(ground.root, link);
    await ok(batch(ground, `"sftp:${link}"`, ['get file got', 'put sent new', attempt('get out/secret secret')]));
    assert.equal(got(ground, 'got'), 'may be seen');
    assert.ok(existsSync(join(ground.root, 'new')));
    assert.ok(!existsSync(join(ground.near, 'secret')));
  });

  it('serves nothing where there is no bwrap, and says so', async (t) => {
    const ground = prepare(new Scope(t));
    const farEnvironment = { PATH: onlyPrograms(ground.scope, 'ldd', 'sh', 'cat', 'setpriv') };
    const { code, stderr } = await batch(ground, `"sftp:${ground.root}"`, ['get file got'], { farEnvironment });
    assert.equal(code, 255);
    assert.match(stderr, /a boundary needs bubblewrap \(the program bwrap\); install it, or leave the folder .* out/);
    assert.ok(!existsSync(join(ground.near, 'got')));
  });

  it('as another user has the rights of that one', { skip: !isRoot && 'only root can' }, async (t) => {
    const ground = prepare(new Scope(t));
    const { root } = ground;
    chmodSync(join(root, '..'), 0o755);
    chownSync(join(root, 'sub'), 65534, 65534);
    chmodSync(join(root, 'file'), 0o600);
    const commands = ['put sent sub/new', attempt('put sent new'), attempt('get file got'), 'get sub/new control'];
    await ok(batch(ground, `{ sftp: ${root}, user: nobody }`, commands));
    assert.equal(statSync(join(root, 'sub/new')).uid, 65534);
    assert.equal(got(ground, 'control'), 'sent');
    assert.deepEqual([existsSync(join(root, 'new')), existsSync(join(ground.near, 'got'))], [false, false]);
  });
});

describe('start', () => {
  it('chooses the folder to begin in, within a boundary', async (t) => {
    const ground = prepare(new Scope(t));
    const { root } = ground;
    await ok(
      batch(ground, `"sftp:${root}?start=${root}/sub"`, [
        'put sent new',
        'get ../file got',
        attempt('get ../../outside/secret no'),
      ]),
    );
    assert.ok(existsSync(join(root, 'sub/new')));
    assert.equal(got(ground, 'got'), 'may be seen');
    assert.ok(!existsSync(join(ground.near, 'no')));
  });

  it('is no boundary by itself', async (t) => {
    const ground = prepare(new Scope(t));
    const { root, outside } = ground;
    await ok(batch(ground, `"sftp:?start=${root}"`, ['get file got', `get ${outside}/secret secret`]));
    assert.equal(got(ground, 'secret'), 'may not be seen');
  });
});

it('a link that only runs a command has no subsystem sftp; its services are named', async (t) => {
  const ground = prepare(new Scope(t));
  const { code, stderr } = await batch(ground, '{ exec: [cat] }', ['ls']);
  assert.equal(code, 255);
  assert.match(stderr, /there is no service "sftp"; this link offers: default/);
});
