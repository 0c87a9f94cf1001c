/** docs/recipes/two-sites.md, as it stands: a local socket at one site, TLS in between, borg serve at the other. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { untilSaid, whyNoHosts, type Host } from '../support/host.ts';
import { makeHosts, type Network } from '../support/hosts.ts';
import { Recipe } from '../support/recipe.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { seededBytes } from '../support/tree.ts';

assertNothingLeaks();

const recipe = new Recipe('two-sites.md');
const CARRIED = ['ca.pem', 'office.example.pem', 'office.example.key'];
const borg = (command: string): string => `. /tmp/.exports-alice-1; borg ${command}`;

describe('two sites with TLS between them', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  let hosts: { vault: Host; office: Host; network: Network };
  before(async () => {
    hosts = await makeHosts(scope, {
      vault: { ports: [9000], names: ['vault.example'] },
      office: { behindNat: true, names: ['office.example'] },
    });
    const { vault, office } = hosts;
    await office.ok('useradd -m -G adm alice && useradd -m stranger && head -c 1000000 /dev/urandom >/home/alice/data');
    await recipe.follow('An authority for two', hosts);
    for (const name of CARRIED) {
      const path = `/etc/sluice/tls/${name}`;
      await office.write(path, await vault.ok(`cat ${path}`), { mode: '600' });
    }
    await recipe.follow('The vault', hosts);
    await recipe.follow('The office', hosts);
  });

  it('a member of the group backs up from the one into the other; others cannot connect', async () => {
    const { vault, office } = hosts;
    assert.match(await recipe.follow('The backup', hosts), /^first /m);
    assert.equal(await vault.ok('find /srv/borg -not -user backup'), '');
    const refused = await office.run('sluice rsh --to unix:/run/sluice/borg.sock x', { user: 'stranger' });
    assert.equal(refused.code, 255);
    assert.match(refused.stderr, /EACCES/);
  });

  it('who has no certificate of the authority is refused', async () => {
    const { office } = hosts;
    const { code, stderr } = await office.run('sluice rsh --to "tls://vault.example:9000?ca=/etc/sluice/tls/ca.pem" x');
    assert.equal(code, 255);
    assert.match(stderr, /certificate/);
  });

  it('a backup does not notice that the network is cut, and its connection reset', async () => {
    const { office, vault, network } = hosts;
    const gateway = recipe.staying.at(-1)?.program;
    assert.ok(gateway);
    const [half, rest] = [seededBytes('half', 20_000_000), seededBytes('rest', 3_000_000)];
    const backup = office.start(borg('create ::cut -'), { user: 'alice' });
    backup.child.stdin.write(half);
    await vault.until('find /srv/borg/office/data -size +3000k | grep -q .');
    await network.breakConnections(office);
    backup.child.stdin.end(rest);
    await untilSaid(gateway, /connection lost, redialing/);
    await network.mend();
    const { code, stderr } = await backup.ended;
    assert.equal(code, 0, stderr);
    await untilSaid(gateway, /connection resumed/);
    const { stdout } = await office.run(borg('extract --stdout ::cut'), { user: 'alice' });
    assert.ok(stdout.equals(Buffer.concat([half, rest])));
  });
});
