/** What `npm pack` makes, installed as a user does it: the command and the contract work without our development dependencies. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { it } from 'node:test';
import { run, start } from './support/programs.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';

assertNothingLeaks();

const PROJECT = join(import.meta.dirname, '..');

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

/** Packs what is built, without building anew: other tests run it at this moment. */
async function pack(scope: Scope, folder: string): Promise<Packed> {
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
  const { code, stdout, stderr } = await run(scope, 'npm', args, { cwd: PROJECT });
  assert.equal(code, 0, stderr);
  const [packed] = JSON.parse(stdout.toString()) as Packed[];
  assert.ok(packed);
  return packed;
}

async function installed(scope: Scope) {
  const folder = scope.folder();
  const packed = await pack(scope, folder);
  const prefix = join(folder, 'prefix');
  const args = ['install', '--global', '--prefix', prefix, '--prefer-offline', join(folder, packed.filename)];
  const { code, stderr } = await run(scope, 'npm', args, { cwd: folder });
  assert.equal(code, 0, stderr);
  return { folder, prefix, packed };
}

it('the package holds what runs and what tells about it, and no source, test or tool', async (t) => {
  const scope = new Scope(t);
  const { files } = await pack(scope, scope.folder());
  const tops = new Set(files.map(({ path }) => path.split('/')[0]));
  assert.deepEqual(tops, new Set(['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'package.json', 'packaging']));
  assert.ok(files.some(({ path }) => path === 'packaging/systemd/sluice.service'));
});

it('the package installs into an empty prefix, and its command and its contract work there', async (t) => {
  const scope = new Scope(t);
  const { folder, prefix } = await installed(scope);
  const env = { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: folder };
  const command = join(prefix, 'bin/sluice');
  const version = await run(scope, command, ['--version'], { env });
  assert.match(version.stdout.toString(), /^\d+\.\d+\.\d+\n$/, version.stderr);
  const echoed = await run(scope, command, ['connect', 'exec:cat'], { env, input: 'hi' });
  assert.equal(echoed.stdout.toString(), 'hi', echoed.stderr);

  const modules = join(prefix, 'lib/node_modules');
  const dependencies = join(modules, 'sluice/node_modules'); // absent where the optional one cannot be built
  const inner = existsSync(dependencies) ? readdirSync(dependencies) : [];
  assert.deepEqual(
    inner.filter(
      (name) => !['.bin', '.package-lock.json', 'bufferutil', 'node-gyp-build', 'koffi', '@koromix'].includes(name),
    ),
    [],
    'the package has no dependency but the optional one',
  );
  const plugin = join(modules, 'imports.mjs');
  writeFileSync(
    plugin,
    `import { defineTransport } from 'sluice/plugin'; import * as all from 'sluice'; console.log(typeof defineTransport, typeof all.createContainer)`,
  );
  const imported = await run(scope, process.execPath, [plugin], { env });
  assert.equal(imported.stdout.toString(), 'function function\n', imported.stderr);
});

it('a plugin that was scaffolded, packed and installed beside the packed Sluice works from the command line', async (t) => {
  const scope = new Scope(t);
  const folder = scope.folder();
  const env = { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: folder };
  const made = await run(scope, process.execPath, [join(PROJECT, 'dist/sluice.js'), 'plugin', 'new', 'chat'], {
    cwd: folder,
  });
  assert.equal(made.code, 0, made.stderr);
  const args = ['pack', '--json', '--pack-destination', folder];
  const [packedPlugin] = JSON.parse(
    (await run(scope, 'npm', args, { cwd: join(folder, 'sluice-chat') })).stdout.toString(),
  ) as Packed[];
  assert.deepEqual(packedPlugin?.files.map(({ path }) => path).toSorted(), ['README.md', 'chat.ts', 'package.json']);
  const clean = join(folder, 'clean');
  mkdirSync(clean, { mode: 0o700 });
  writeFileSync(join(clean, 'package.json'), '{ "private": true }');
  const sluiceItself = (await pack(scope, folder)).filename;
  const packages = [sluiceItself, packedPlugin?.filename ?? ''].map((name) => join(folder, name));
  const installed_ = await run(scope, 'npm', ['install', '--prefer-offline', ...packages], { cwd: clean });
  assert.equal(installed_.code, 0, installed_.stderr);

  const command = join(clean, 'node_modules/.bin/sluice');
  const link = start(scope, command, ['link', '--plugin', 'sluice-chat', `chat:${folder}/s`, 'exec:cat'], {
    cwd: clean,
    env,
  });
  while (!link.said().includes('listening')) await once(link.child.stderr, 'data');
  const connected = ['connect', '--plugin', 'sluice-chat', `chat:${folder}/s`];
  const { stdout, stderr } = await run(scope, command, connected, { cwd: clean, env, input: 'by a package' });
  assert.equal(stdout.toString(), 'by a package', stderr);
  const bundled = await run(scope, command, ['plugin', 'check', 'sluice/zstd'], { cwd: clean, env });
  assert.match(bundled.stdout.toString(), /every promise is kept/);
});
