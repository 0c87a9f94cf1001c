/** The rules of the house that a machine can hold: who may import whom, and one dependency in one file. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, it } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');

interface Import {
  readonly file: string;
  /** A path below the root, or the name of a module. */
  readonly target: string;
  readonly isTypeOnly: boolean;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const found = text.matchAll(
    /(?:^|\n)(import|export)( type)?[^'"\n;]*?(?:\n[^'";]*?)*?from '([^']+)'|import\('([^']+)'\)|(?:^|\n)import '([^']+)'/g,
  );
  return [...found].map(([, , type, from, dynamic, bare]) => {
    const name = from ?? dynamic ?? bare ?? '';
    const target = name.startsWith('.') ? relative(ROOT, resolve(ROOT, dirname(file), name)) : name;
    return { file, target, isTypeOnly: type !== undefined };
  });
}

const filesIn = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`);

const imports = ['plugins', 'transports', 'core', 'compliance'].flatMap(filesIn).flatMap(importsOf);
const offenders = (isWrong: (one: Import) => boolean): string[] =>
  imports.filter(isWrong).map(({ file, target }) => `${file} imports ${target}`);

describe('imports point one way: plugins/contract, transports, core', () => {
  it('were found at all', () => assert.ok(imports.length > 150, `${imports.length} imports`));

  it('the contract imports nothing but types of Node, and streams for the stream of layers', () => {
    assert.deepEqual(
      offenders(
        ({ file, target, isTypeOnly }) =>
          file.startsWith('plugins/contract/') &&
          !target.startsWith('plugins/contract/') &&
          !(target.startsWith('node:') && isTypeOnly) &&
          !(file === 'plugins/contract/through.ts' && target === 'node:stream'),
      ),
      [],
    );
  });

  it('the suite imports the core, and nothing but the loader of plugins and the command line imports the suite', () => {
    assert.deepEqual(
      offenders(
        ({ file, target }) =>
          target.startsWith('compliance/') && !/^(compliance\/|core\/loader\.ts|core\/cli\/plugin-)/.test(file),
      ),
      [],
    );
    assert.deepEqual(
      offenders(({ file, target }) => file.startsWith('compliance/') && /^(core\/cli|transports)\//.test(target)),
      [],
    );
  });

  it('a first-party plugin imports nothing of Sluice but sluice/plugin', () => {
    assert.deepEqual(
      offenders(({ file, target }) => {
        const [, name = ''] = file.split('/');
        if (!file.startsWith('plugins/') || name === 'contract') return false;
        return (
          target !== 'sluice/plugin' &&
          /^(core|transports|plugins|sluice)\b/.test(target) &&
          !target.startsWith(`plugins/${name}/`)
        );
      }),
      [],
    );
  });

  it('transports import no core', () => {
    assert.deepEqual(
      offenders(({ file, target }) => file.startsWith('transports/') && target.startsWith('core/')),
      [],
    );
  });

  it('transports import nothing of a plugin but the contract', () => {
    assert.deepEqual(
      offenders(
        ({ file, target }) =>
          file.startsWith('transports/') && target.startsWith('plugins/') && target !== 'plugins/contract/index.ts',
      ),
      [],
    );
  });

  it('only the composition root and the library’s face know the built-in transports', () => {
    assert.deepEqual(
      offenders(
        ({ file, target }) =>
          file.startsWith('core/') &&
          target.startsWith('transports/') &&
          !['core/cli/environment.ts', 'core/cli/authorize.ts', 'core/index.ts'].includes(file) &&
          // no transports, but the memory into which they and the pump read: one for the process
          !(file === 'core/pump.ts' && ['transports/block-pool.ts', 'transports/socket-reads.ts'].includes(target)),
      ),
      [],
    );
  });

  it('the core does not know its command line', () => {
    assert.deepEqual(
      offenders(
        ({ file, target }) =>
          file.startsWith('core/') && !file.startsWith('core/cli/') && target.startsWith('core/cli/'),
      ),
      [],
    );
  });
});

describe('one dependency, one file', () => {
  const homes: Readonly<Record<string, readonly string[]>> = {
    inversify: ['core/container.ts'],
    commander: ['core/cli/program.ts'],
    jiti: ['core/loader.ts'],
    'jiti/static': ['core/loader.ts'],
    zod: ['core/config/schema.ts'],
    yaml: ['core/config/document.ts', 'core/config/edit.ts'],
    leven: ['core/nearest.ts'],
    koffi: ['plugins/abstract/peer.ts', 'transports/unix-peer.ts'],
    shlex: ['plugins/command/index.ts', 'transports/exec.ts'],
    '@logtape/logtape': ['core/log.ts'],
    'log-update': ['core/cli/progress.ts'],
    'pretty-bytes': ['core/cli/progress.ts'],
    '@peculiar/x509': ['transports/certificate-making.ts'],
    'reflect-metadata': ['transports/certificate-making.ts'],
    socks: ['transports/proxy-socks.ts'],
    // Both sides of one handshake, and what they share.
    ws: ['transports/websocket-dial.ts', 'transports/websocket-host.ts', 'transports/websocket-upgrade.ts'],
  };
  it('each is imported where it belongs, and no other is imported', () => {
    const outside = imports.filter(
      ({ target }) =>
        !target.startsWith('node:') &&
        !/^(core|transports|plugins|compliance)\/|^package\.json$|^sluice\/plugin$/.test(target),
    );
    const wrong = outside
      .filter(({ file, target }) => !homes[target]?.includes(file))
      .map(({ file, target }) => `${file} imports ${target}`);
    assert.deepEqual(wrong, []);
    const unused = Object.keys(homes).filter((name) => !outside.some(({ target }) => target === name));
    assert.deepEqual(unused, []);
  });
});

it('sockets are connected in one file, and TCP sinks in one more, so that none goes round a proxy', () => {
  const connects = filesIn('transports').filter((file) =>
    /import \{[^}]*\bconnect\b[^}]*\} from 'node:net'/.test(readFileSync(join(ROOT, file), 'utf8')),
  );
  assert.deepEqual(connects, ['transports/connecting.ts', 'transports/unix-socket-file.ts']); // which looks whether one lives
  const byTcp = filesIn('transports').filter((file) =>
    /connectSocket\(\{ host/.test(readFileSync(join(ROOT, file), 'utf8')),
  );
  assert.deepEqual(byTcp, ['transports/proxy.ts', 'transports/tcp-dial.ts']);
});

it('there is no circle among the files', () => {
  const graph = Map.groupBy(
    imports.filter(({ isTypeOnly }) => !isTypeOnly),
    ({ file }) => file,
  );
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): void => {
    assert.ok(!way.includes(file), `circle: ${[...way, file].join(' → ')}`);
    if (done.has(file)) return;
    for (const { target } of graph.get(file) ?? []) visit(target, [...way, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
});
