/** docs/recipes/pull-over-ssh.md, as it stands: a tunnel over a plain sshd, which leaves nothing behind. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { whyNoHosts, type Host } from '../support/host.ts';
import { makeHosts } from '../support/hosts.ts';
import { Recipe } from '../support/recipe.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const recipe = new Recipe('pull-over-ssh.md');
/** What `ssh -R` would leave, and what else could be left. */
const LEFT = 'find /tmp /run /home -type s -o -name "sluice-services-*"; pgrep --list-full --uid borgc || true';

describe('a pull over sshd', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  let hosts: { client: Host; server: Host };
  before(async () => {
    hosts = await makeHosts(scope, { client: { ports: [22], names: ['client.example'] }, server: { behindNat: true } });
    const { client, server } = hosts;
    await client.ok('mkdir -p /run/sshd && ssh-keygen -A && /usr/sbin/sshd');
    await recipe.follow('The server’s key', hosts);
    const key = (await server.ok('cat ~borgs/.ssh/id_ed25519.pub')).trim();
    await recipe.follow('The client', hosts, { 'THE-PUBLIC-KEY': key });
    await client.ok('mkdir ~/data && head -c 1000000 /dev/urandom >~/data/file', { user: 'borgc' });
  });

  it('backs up again and again, and leaves no socket, no folder and no process at the client', async () => {
    const { server, client } = hosts;
    assert.match(await recipe.follow('The backup', hosts), /Number of files: 1/);
    assert.match(await recipe.follow('The backup', hosts), /Number of files: 1/);
    await client.until(`[ -z "$(${LEFT})" ]`);
    assert.equal(await server.ok('find /srv/borg -not -user borgs'), '');
    assert.notEqual(await server.ok('find /srv/borg/client/data -type f'), '');
  });

  it('the key is good for the tunnel alone', async () => {
    const { server, client } = hosts;
    const { stdout } = await server.run('ssh borgc@client.example cat .borg-passphrase', { user: 'borgs' });
    assert.ok(!stdout.toString().includes((await client.ok('cat ~borgc/.borg-passphrase')).trim()));
    const other = await server.run('sluice tunnel "exec:ssh borgc@client.example" --run shell', { user: 'borgs' });
    assert.match(other.stderr, /there is no service "shell"/);
    assert.equal(other.code, 255);
  });
});
