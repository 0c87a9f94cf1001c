/** docs/recipes/ssh-agent.md, as it stands: a client without a key comes back by the agent of the server. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { untilSaid, whyNoHosts, type Host } from '../support/host.ts';
import { makeHosts } from '../support/hosts.ts';
import { Recipe } from '../support/recipe.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const recipe = new Recipe('ssh-agent.md');

describe('the agent of the server, used at the client', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  let hosts: { client: Host; server: Host };
  const values = { 'THE-TOKEN': '', 'THE-PIN': '' };
  before(async () => {
    hosts = await makeHosts(scope, {
      client: { ports: [8443], names: ['client.example'] },
      server: { behindNat: true },
    });
    const { client, server } = hosts;
    await server.ok('mkdir -p /run/sshd && ssh-keygen -A && /usr/sbin/sshd');
    await client.ok('useradd -m alice && head -c 1000000 /dev/urandom >/home/alice/data');
    await recipe.follow('The server', hosts);
    await recipe.follow('The client', hosts);
    const [, pin = ''] = await untilSaid((recipe.staying[0] ?? assert.fail()).program, /pin=(sha256\/[\w+/=]+)/);
    Object.assign(values, { 'THE-PIN': pin, 'THE-TOKEN': (await client.ok('cat /etc/sluice/server.token')).trim() });
    await recipe.follow('The token and the pin', hosts, values);
  });

  it('ssh-add lists its key there, and a real ssh comes back with it, through the NAT, to back up', async () => {
    const { server, client } = hosts;
    const said = await recipe.follow('The backup', hosts, values);
    assert.match(said, /256 SHA256:\S+ come back \(ED25519\)/);
    assert.match(said, /Number of files: \d+/);
    assert.equal(await server.ok('find /srv/borg -not -user borgs'), '');
    assert.notEqual(await server.ok('find /srv/borg/client/data -type f'), '');
    assert.equal(await client.ok('find /root/.ssh -name "id_*"'), '');
  });

  it('when it is over there is no agent, no socket and no folder, on either side', async () => {
    const { server, client } = hosts;
    for (const host of [server, client])
      await host.until('[ -z "$(find /tmp /home -type s -o -name "sluice-services-*"; pgrep ssh-agent)" ]');
  });

  it('with the key nothing is to be had but borg serve', async () => {
    const { server } = hosts;
    const login = 'ssh -i .ssh/come-back -o StrictHostKeyChecking=accept-new borgs@127.0.0.1 cat /etc/passwd';
    assert.doesNotMatch((await server.run(login, { user: 'borgs' })).stdout.toString(), /root:/);
  });
});
