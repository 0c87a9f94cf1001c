/** Configurations that somebody has damaged: each is refused with 78 and its place, or says who may connect; none opens by mistake. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import fc from 'fast-check';
import { loadConfiguration } from '../../core/config/load.ts';
import { proofsIn } from '../../core/config/identities.ts';
import { SluiceError } from '../../core/errors.ts';
import { accessFaults } from '../../core/access.ts';
import { reachFault } from '../../core/inspect.ts';
import { Registry } from '../../core/registry.ts';
import { Tunnels } from '../../core/tunnels/tunnels.ts';
import { builtInTransports } from '../../transports/index.ts';
import { Scope } from '../support/scope.ts';

const RUNS = process.env['SLUICE_SOAK'] ? 20_000 : 1_000;
const PIN = `sha256/${'A'.repeat(43)}=`;

const GOOD = `
identities:
  laptop: { token: "file:laptop.token" }
  desk: { pin: "${PIN}", uid: 7 }
  gone: { revoked: "2026-01-01" }
limits: { connections: 5, loopback: yes }
links:
  - name: borg
    source: tls://0.0.0.0:9000?cert=c.pem&key=k.pem&ca=a.pem
    sink: { exec: [borg, serve, "/srv/{identity}"], user: borg }
    allow: [laptop]
    idle: 10m
  - { name: shell, source: "wss://[::]:8443/x?cert=self", sink: { shell: "", user: alice }, allow: [laptop] }
  - { name: local, source: "unix:./s?mode=0600", sink: "tcp://127.0.0.1:80" }
hosts:
  backup: { sink: "wss://backup.example/borg", token: "file:t" }
`;

const WORDS = [
  'allow',
  'alow',
  'anyone',
  '[]',
  '{}',
  'null',
  '~',
  'yes',
  '-1',
  '1e9',
  '""',
  '*a',
  '&a',
  '!!js',
  '__proto__',
  'constructor',
  'token',
  'source',
  '0.0.0.0',
  '{identity}',
  '- ',
  ': ',
  ', ',
  '\n',
  '  ',
  '\t',
  '"',
  "'",
  '#',
  '%',
  '?',
  '\u0000',
  '\u202e',
  'ä',
];

/** One change: something taken out, put in, doubled, or exchanged with what stands elsewhere. */
const change = fc.record({
  at: fc.nat(GOOD.length),
  length: fc.oneof(fc.nat(3), fc.nat(40)),
  put: fc.oneof(
    fc.constantFrom(...WORDS),
    fc.string({ maxLength: 6 }),
    fc.nat(GOOD.length).map((from) => GOOD.slice(from, from + 20)),
  ),
});

const damaged = fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
  let text = GOOD;
  for (const { at, length, put } of changes) text = text.slice(0, at) + put + text.slice(at + length);
  return text;
});

it('the one that is damaged was good', async (t) => {
  const file = join(new Scope(t).folder(), 'sluice.yaml');
  writeFileSync(file, GOOD, { mode: 0o600 });
  const { links } = await loadConfiguration(
    file,
    new Registry(builtInTransports({ interrupted: () => false }, new Tunnels())),
  );
  assert.equal(links.length, 3);
});

it(`${RUNS} damaged configurations`, async (t) => {
  const file = join(new Scope(t).folder(), 'sluice.yaml');
  const transports = builtInTransports({ interrupted: () => false }, new Tunnels());
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(damaged, async (text) => {
      writeFileSync(file, text, { mode: 0o600 });
      let loaded;
      try {
        loaded = await loadConfiguration(file, new Registry(transports));
      } catch (error) {
        refused += 1;
        assert.ok(SluiceError.is(error) && error.exit === 78, String((error as Error).stack));
        return;
      }
      const { links, identities } = loaded;
      for (const link of links) {
        const faults = accessFaults(link, (name) => proofsIn(identities.get(name) ?? {}));
        const isClosed = link.allow.length > 0 || faults.length > 0 || reachFault(link).length > 0;
        const isLocal = link.source.transport.reach?.(link.source.parsed) === 'local';
        // what names nobody is local, or would be refused; a name that the system must look up is judged when it is bound
        assert.ok(isClosed || isLocal || /:\/\/[^/?]*[a-z]/i.test(link.source.text), link.source.text);
        for (const name of link.allow) assert.ok(name === 'anyone' || identities.has(name), name);
        if (link.sink.forIdentity !== undefined || link.sink.scheme === 'shell')
          assert.ok(faults.length > 0 || (link.allow.length > 0 && !link.allow.includes('anyone')));
      }
    }),
    { numRuns: RUNS },
  );
  t.diagnostic(`${refused} of ${RUNS} refused`);
});
