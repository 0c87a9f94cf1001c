/** docs/recipes/several-users.md, as it stands: every user, and a container, reaches the own repository and no other. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { whyNoHosts, type Host } from '../support/host.ts';
import { makeHosts } from '../support/hosts.ts';
import { Recipe } from '../support/recipe.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const recipe = new Recipe('several-users.md');
const refused = async (host: Host, code: string, user: string, why: RegExp): Promise<void> => {
  const ran = await host.run(code, { user });
  assert.notEqual(ran.code, 0, `${code} went well`);
  assert.match(ran.stderr, why);
};
const listing = (socket: string, repository: string): string =>
  `BORG_RSH="sluice rsh --to unix:${socket}" borg list ssh://vault${repository}`;

describe('one service for several users', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  let hosts: { here: Host };
  before(async () => {
    hosts = await makeHosts(scope, { here: {} });
    await hosts.here.ok('for name in alice bob; do useradd -m $name && echo "of $name" >/home/$name/diary; done');
    await recipe.follow('The service', hosts);
  });

  it('each user has a socket that no other can connect to', async () => {
    const { here } = hosts;
    assert.equal(await here.ok('cd /run/vault && stat -c "%n %U %a" *'), 'alice.sock alice 600\nbob.sock bob 600\n');
    await refused(here, listing('/run/vault/bob.sock', '/srv/vault/bob'), 'alice', /EACCES|permission/i);
    await refused(here, 'ls /srv/vault', 'alice', /Permission denied/);
  });

  it('alice and bob back up at the same time, each into the own repository', async () => {
    const [alice, bob] = await Promise.all([recipe.follow('Alice', hosts), recipe.follow('Bob', hosts)]);
    for (const said of [alice, bob]) assert.match(said, /^first /m);
    const owned = await hosts.here.ok('cd /srv/vault && find . -maxdepth 1 -printf "%P %u\\n" | sort');
    assert.equal(owned, ' vault\nalice vault\nbob vault\n');
  });

  it('through her own socket alice does not get at bob’s repository', async () => {
    const reach = listing('/run/vault/alice.sock', '/srv/vault/bob');
    await refused(hosts.here, reach, 'alice', /Repository path not allowed/);
  });
});

describe('two containers that share a folder with a socket, and no network', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  let hosts: { keeper: Host; app: Host };
  before(async () => {
    const shared = scope.folder();
    hosts = await makeHosts(scope, {
      keeper: { shows: { '/run/vault/app': shared } },
      app: { shows: { '/run/vault': shared } },
    });
    for (const host of [hosts.keeper, hosts.app]) await host.ok('ip link set eth0 down');
    await hosts.app.ok('mkdir /srv/app && head -c 1000000 /dev/urandom >/srv/app/data');
  });

  it('the one backs up into the other, which alone has the repository', async () => {
    assert.match(await recipe.follow('Containers', hosts), /^first /m);
    assert.equal(await hosts.app.ok('ls /srv'), 'app\n');
    assert.equal(await hosts.keeper.ok('ls /srv/vault'), 'app\n');
  });

  it('a service that starts anew is found again through the same folder', async () => {
    const service = recipe.staying.at(-1);
    await service?.end();
    await service?.beginAnew();
    assert.match(await hosts.app.ok('. /tmp/.exports-root-1; borg list'), /^first /m);
  });
});
