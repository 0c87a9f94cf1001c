/** docs/recipes/behind-a-proxy.md, as it stands: a laptop that reaches nothing but a proxy. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { certificates } from '../support/certificates.ts';
import { PASSWORD, USER } from '../support/forward-proxies.ts';
import { untilSaid, whyNoHosts, type Host } from '../support/host.ts';
import { makeHosts } from '../support/hosts.ts';
import { Recipe } from '../support/recipe.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const TOKEN = 'slu_laptop_0123456789abcdefghij';
const VALUES = { 'THE-TOKEN': TOKEN, 'USER:PASSWORD': `${USER}:${PASSWORD}` };
const recipe = new Recipe('behind-a-proxy.md');
const text = (path: string): string => readFileSync(path, 'utf8');

const SERVER = `identities: { laptop: { token: "file:/etc/token" } }
links:
  - name: borg
    source: wss://0.0.0.0:443/borg?cert=/etc/site.pem&key=/etc/site.key
    sink: { exec: [borg, serve, --restrict-to-path, /srv/borg] }
    allow: [laptop]
`;

async function prepareBackup(backup: Host): Promise<void> {
  const { site } = certificates();
  await backup.write('/etc/site.pem', text(site.cert));
  await backup.write('/etc/site.key', text(site.key), { mode: '600' });
  await backup.write('/etc/token', TOKEN, { mode: '600' });
  await backup.write('/etc/sluice/sluice.yaml', SERVER, { mode: '600' });
  await backup.ok('install -d /srv/borg');
  await untilSaid(backup.start('sluice run'), /listening/);
}

async function prepareProxy(proxy: Host): Promise<void> {
  await proxy.write(
    '/etc/p.conf',
    `Port 3128\nTimeout 600\nMaxClients 50\nConnectPort 443\nBasicAuth ${USER} ${PASSWORD}\n`,
  );
  proxy.start('exec tinyproxy -d -c /etc/p.conf');
  proxy.start('exec microsocks -p 1080');
  for (const port of [3128, 1080])
    await proxy.ok(`until (: </dev/tcp/127.0.0.1/${port}) 2>/dev/null; do sleep 0.02; done`);
}

describe('a laptop that reaches nothing but a proxy', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  let hosts: Record<'laptop' | 'proxy' | 'backup', Host>;
  before(async () => {
    const { network, ...made } = await makeHosts(scope, {
      laptop: {},
      proxy: { names: ['proxy.example'] },
      backup: { names: ['backup.example'] },
    });
    hosts = made;
    const { laptop, proxy, backup } = hosts;
    await Promise.all([prepareBackup(backup), prepareProxy(proxy)]);
    await laptop.write('/etc/ssl/authority.pem', text(certificates().ca));
    laptop.environment['NODE_EXTRA_CA_CERTS'] = '/etc/ssl/authority.pem';
    const way = "ip route show default | cut -d' ' -f2-";
    await laptop.ok(`ip route add ${network.addressOf(proxy)} $(${way}) && ip route del default`);
  });

  it('backs up through it, and check tells the way', async () => {
    assert.match(
      await recipe.follow('The laptop', hosts, VALUES),
      /backup .* through the proxy http:\/\/proxy\.example:3128\n/,
    );
    assert.match(await recipe.follow('The backup', hosts), /^first /m);
  });

  it('also where the environment names it, and by SOCKS', async () => {
    assert.match(await recipe.follow('By the environment', hosts, VALUES), /^first /m);
    await hosts.laptop.ok('rm /tmp/.exports-*'); // as in a new terminal
    assert.match(await recipe.follow('By SOCKS', hosts), /^first /m);
  });

  it('and reaches nothing without it', async () => {
    const { code, stderr } = await hosts.laptop.run('sluice connect "wss://backup.example/borg?proxy=off"');
    assert.equal(code, 255);
    assert.match(stderr, /dial wss:\/\/backup\.example\S*: connect E/);
  });
});
