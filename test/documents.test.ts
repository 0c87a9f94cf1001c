/** What the documents say of codes, schemes and addresses is what there is. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { split } from 'shlex';
import { RSH_OPTIONS } from '../core/cli/rsh.ts';
import { parseSshArguments } from '../core/cli/ssh-arguments.ts';
import { loadConfiguration } from '../core/config/load.ts';
import { ERRORS } from '../core/errors.ts';
import { parseAddress } from '../core/address.ts';
import { Registry } from '../core/registry.ts';
import { Scope } from './support/scope.ts';
import { Tunnels } from '../core/tunnels/tunnels.ts';
import { builtInTransports } from '../transports/index.ts';

const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
const registry = new Registry(builtInTransports({ interrupted: () => false }, new Tunnels()));

const read = (text: string | undefined, role: 'source' | 'sink'): unknown =>
  parseAddress((text ?? '').replace('sha256/…', `sha256/${'A'.repeat(43)}=`), { registry, role, folder: '/' });

it('every threat names tests that are there', () => {
  const root = join(import.meta.dirname, '..');
  const threats = readFileSync(join(root, 'test/THREATS.md'), 'utf8');
  const named = [...threats.matchAll(/`(test\/[\w/.-]+)`:\s"([^"]*)"/g)];
  assert.ok(named.length >= 35, `${named.length} tests`);
  for (const [, file = '', title = ''] of named)
    assert.ok(readFileSync(join(root, file), 'utf8').includes(title), `${file} has no test ${JSON.stringify(title)}`);
});

describe('the README', () => {
  it('lists every error code with its exit status and meaning, and no other', () => {
    const rows = [...readme.matchAll(/^\| `(SLUICE_\w+)` \| (\d+) \| (.+) \|$/gm)].map(([, code, exit, meaning]) => ({
      code,
      exit: Number(exit),
      meaning,
    }));
    assert.deepEqual(
      rows,
      Object.entries(ERRORS).map(([code, { exit, meaning }]) => ({ code, exit, meaning })),
    );
  });

  it('lists every scheme in its table of transports', () => {
    const table = /## Transports\n([^]*?)\nIn an address/.exec(readme)?.[1] ?? '';
    for (const scheme of registry.schemes()) assert.ok(table.includes(`\`${scheme}:`), `${scheme} is missing`);
  });

  it('gives only configurations that can be read', async (t) => {
    const blocks = [...readme.matchAll(/```yaml\n([^]*?)```/g)].map(([, text = '']) => text);
    assert.ok(blocks.length >= 3);
    for (const text of blocks) {
      const file = join(new Scope(t).folder(), 'sluice.yaml');
      writeFileSync(file, text, { mode: 0o600 });
      await assert.doesNotReject(
        loadConfiguration(file, new Registry(builtInTransports({ interrupted: () => false }, new Tunnels()))),
      );
    }
  });

  it('gives only rsh commands that are understood', () => {
    const commands = [...readme.matchAll(/^ {4}sluice rsh (.+?)(?: {2,}#.*)?$/gm)].map(([, text = '']) => split(text));
    assert.ok(commands.length >= 1);
    for (const words of commands) assert.ok(parseSshArguments(words, RSH_OPTIONS).host);
  });

  it('gives only addresses that can be read', () => {
    const links = [...readme.matchAll(/sluice link (?:--allow \w+ )?"([^"]+)" "([^"]+)"/g)];
    const connects = [...readme.matchAll(/sluice connect (?:-q )?"([^"]+)"/g)];
    assert.ok(links.length >= 4 && connects.length >= 2);
    for (const [, source, sink] of links) assert.ok(read(source, 'source') && read(sink, 'sink'));
    for (const [, sink] of connects) assert.ok(read(sink, 'sink'));
  });
});
