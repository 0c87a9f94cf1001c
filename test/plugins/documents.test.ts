/** What the documents say of plugins that come with Sluice is what there is. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseAddress } from '../../core/address.ts';
import { BUNDLED_KINDS, BUNDLED_PLUGINS } from '../../core/bundled-plugins.ts';
import { loadPlugin } from '../../core/loader.ts';
import { Registry } from '../../core/registry.ts';
import { memoryTransport } from '../../compliance/index.ts';
import { tcp } from '../../transports/tcp.ts';
import { unix } from '../../transports/unix.ts';
import { exec } from '../../transports/exec.ts';
import { wss } from '../../transports/websocket.ts';

const ROOT = join(import.meta.dirname, '../..');
const names = Object.keys(BUNDLED_PLUGINS);
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const registry = new Registry([unix, tcp, exec, wss, memoryTransport()]);
const kinds: string[][] = [];
for (const name of names) {
  const { transports, layers } = await loadPlugin(`sluice/${name}`, '/');
  kinds.push([name, layers.length > 0 ? 'layer' : 'transport', ...[...transports, ...layers].map((one) => one.name)]);
  for (const transport of transports) registry.register(transport);
  for (const layer of layers) registry.registerLayer(layer);
}

const parse = (text: string, role: 'source' | 'sink'): unknown =>
  parseAddress(text.replaceAll('cert=…', 'cert=x').replaceAll('…', 'x'), { registry, role, folder: '/' });

it('plugins that come with Sluice bring what the hints and lists say', () => {
  assert.deepEqual(
    kinds,
    Object.entries(BUNDLED_KINDS).map(([name, kind]) => [name, kind, name]),
  );
});

describe('a plugin that comes with Sluice', () => {
  for (const name of names)
    it(`${name} has a README, and stands in the README and the guide`, () => {
      assert.ok(existsSync(join(ROOT, 'plugins', name, 'README.md')));
      for (const document of ['README.md', 'docs/plugins.md'])
        assert.ok(read(document).includes(`\`sluice/${name}\``), document);
    });
});

it('the documents give only addresses of plugins that can be read', () => {
  const documents = ['README.md', 'docs/plugins.md', ...names.map((name) => `plugins/${name}/README.md`)]
    .map(read)
    .join('\n');
  const links = [...documents.matchAll(/sluice link --plugin sluice\/\w+ (?:--allow \w+ )?"([^"]+)" "([^"]+)"/g)];
  const sinks = [...documents.matchAll(/sluice (?:connect|rsh) --plugin sluice\/\w+ (?:--to )?"([^"]+)"/g)];
  assert.ok(links.length >= 4 && sinks.length >= 6, `${links.length} and ${sinks.length}`);
  for (const [, source = '', sink = ''] of links) assert.ok(parse(source, 'source') && parse(sink, 'sink'));
  for (const [, sink = ''] of sinks) assert.ok(parse(sink, 'sink'));
});
