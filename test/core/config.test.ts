/** Golden files: a configuration, a rule, and the links or the mistakes that come of it. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { loadConfiguration } from '../../core/config/load.ts';
import type { TunnelPlans } from '../../core/tunnels/plans.ts';
import { locateConfig, passedOver } from '../../core/config/locate.ts';
import type { Address } from '../../core/address.ts';
import type { Link } from '../../core/link.ts';
import { Registry } from '../../core/registry.ts';
import { Tunnels } from '../../core/tunnels/tunnels.ts';
import { builtInTransports } from '../../transports/index.ts';
import { Scope } from '../support/scope.ts';

const GOLDEN = join(import.meta.dirname, '../config');
const registry = (): Registry => new Registry(builtInTransports({ interrupted: () => false }, new Tunnels()));

const list = (what: string, names: readonly string[]): string =>
  names.length > 0 ? `, ${what} ${names.join(' ')}` : '';

const describeLink = ({ name, source, sink, idleAfterEnd, allow, services }: Link): string =>
  `${name}: ${source.text} → ${sink.text}, idle ${idleAfterEnd ?? 'default'}${list('allow', allow)}${list('services', [...services.keys()])}`;

const describeHost = ([name, { text, detachedLife }]: readonly [string, Address]): string =>
  `host ${name}: ${text}, resume ${detachedLife}`;

const textsOf = (addresses: readonly Address[]): string => addresses.map(({ text }) => text).join(', ');

function describeTunnels({ dialing, entrances }: TunnelPlans): string[] {
  return [
    ...dialing.map(
      ({ tunnel, addresses }) => `tunnel ${tunnel.name}: dials ${textsOf(addresses)}, wait ${tunnel.wait}`,
    ),
    ...entrances.map(
      ({ source, waiting }) =>
        `listens on ${source.text}: ${waiting.map(({ tunnel, allow }) => `${tunnel.name} for ${allow.join(', ')}`).join('; ')}`,
    ),
  ];
}

async function resultOf(file: string): Promise<string> {
  try {
    const { links, hosts, tunnels } = await loadConfiguration(file, registry());
    return [...describeTunnels(tunnels), ...links.map(describeLink), ...[...hosts].map(describeHost)].join('\n');
  } catch (error) {
    assert.equal((error as { exit?: number }).exit, 78, String(error));
    return (error as Error).message;
  }
}

describe('a configuration file', () => {
  for (const name of readdirSync(GOLDEN)) {
    it(name, async (t) => {
      const folder = new Scope(t).folder();
      const [input = '', expected = ''] = readFileSync(join(GOLDEN, name), 'utf8').split('----------\n');
      const file = join(folder, 'sluice.yaml');
      writeFileSync(file, input, { mode: 0o600 });
      const result = (await resultOf(file)).replaceAll(file, 'FILE').replaceAll(folder, 'FOLDER');
      assert.equal(result.replace(/(implicit map key|must be unique)[^]*/, '$1'), expected.trimEnd());
    });
  }

  it('that others can write is refused, with the remedy', async (t) => {
    const file = join(new Scope(t).folder(), 'sluice.yaml');
    writeFileSync(file, 'links: []');
    chmodSync(file, 0o664);
    await assert.rejects(loadConfiguration(file, registry()), /can be written by others; run: chmod go-w/);
  });

  it('that is not there is told by its name', async (t) => {
    const file = join(new Scope(t).folder(), 'none.yaml');
    await assert.rejects(loadConfiguration(file, registry()), { code: 'SLUICE_CONFIG_FILE', message: /none\.yaml/ });
  });

  it('is never taken from the working directory', (t) => {
    const folder = new Scope(t).folder();
    assert.throws(() => locateConfig(undefined, { XDG_CONFIG_HOME: folder }), { code: 'SLUICE_CONFIG_FILE' });
    assert.equal(locateConfig(undefined, { XDG_CONFIG_HOME: folder, SLUICE_CONFIG: '/a/b.yaml' }), '/a/b.yaml');
    assert.throws(() => locateConfig(undefined, { XDG_CONFIG_HOME: '', HOME: folder }), { code: 'SLUICE_CONFIG_FILE' });
    assert.equal(locateConfig('/c.yaml', { SLUICE_CONFIG: '/a/b.yaml' }), '/c.yaml');
  });
});

it('a configuration of the system that this user’s own hides is told where something is not found', () => {
  assert.match(
    passedOver('/home/a/.config/sluice/sluice.yaml', {}, () => true),
    /^ \(\/etc\/\S+ was passed over/,
  );
  assert.equal(
    passedOver('/home/a/.config/sluice/sluice.yaml', {}, () => false),
    '',
  );
  assert.equal(
    passedOver('/etc/sluice/sluice.yaml', {}, () => true),
    '',
  );
  assert.equal(
    passedOver('/home/a/other.yaml', {}, () => true),
    '',
  );
});

describe('a plugin that a configuration names', () => {
  const PLUGIN = `import { defineTransport } from 'sluice/plugin';
    const name: string = 'loop';
    export default defineTransport({ contract: 1, name, schemes: ['loop'], grammar: 'loop:', summary: 's', options: {}, capabilities: [],
      parse: () => 1, dial: async () => { throw new Error('x') } });`;
  const CONFIG = 'plugins: [./loop.ts]\nlinks:\n  - { name: a, source: "unix:./x", sink: "loop:y" }\n';

  const withPlugin = (t: Pick<TestContext, 'after'>, text: string): string => {
    const folder = new Scope(t).folder();
    writeFileSync(join(folder, 'loop.ts'), text, { mode: 0o600 });
    writeFileSync(join(folder, 'sluice.yaml'), CONFIG, { mode: 0o600 });
    return join(folder, 'sluice.yaml');
  };

  it('is TypeScript, and needs no build step', async (t) => {
    const [link] = (await loadConfiguration(withPlugin(t, PLUGIN), registry())).links;
    assert.equal(link?.sink.transport.name, 'loop');
  });

  it('may be a folder, whose entry file is held to the same rules', async (t) => {
    const file = withPlugin(t, PLUGIN);
    const folder = join(dirname(file), 'package');
    mkdirSync(folder, { mode: 0o700 });
    writeFileSync(join(folder, 'index.ts'), PLUGIN, { mode: 0o600 });
    writeFileSync(file, CONFIG.replace('./loop.ts', './package'), { mode: 0o600 });
    assert.equal((await loadConfiguration(file, registry())).links[0]?.sink.scheme, 'loop');
    chmodSync(join(folder, 'index.ts'), 0o666);
    await assert.rejects(loadConfiguration(file, registry()), {
      code: 'SLUICE_PLUGIN',
      message: /can be written by others/,
    });
  });

  const broken: [name: string, text: string, message: RegExp][] = [
    [
      'lacks a member',
      PLUGIN.replace('capabilities: [],', ''),
      /plugin \.\/loop\.ts: its "capabilities" must be of type array, and is undefined/,
    ],
    ['neither listens nor dials', PLUGIN.replace('dial:', 'dail:'), /neither "listen" nor "dial"/],
    ['throws while it is loaded', `throw new Error('no luck');`, /plugin \.\/loop\.ts: no luck/],
    ['exports nothing', 'export {};', /no default export|must be of type/],
    [
      'takes a scheme that has an owner',
      PLUGIN.replace(`['loop']`, `['tcp']`),
      /claims the scheme "tcp:", which "tcp" has already/,
    ],
  ];
  for (const [name, text, message] of broken) {
    it(`and that ${name} is told by its name`, async (t) => {
      await assert.rejects(loadConfiguration(withPlugin(t, text), registry()), { code: 'SLUICE_PLUGIN', message });
    });
  }
});
