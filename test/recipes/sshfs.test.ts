/** docs/recipes/sshfs.md, as it stands: the client's files, mounted over a tunnel, backed up and restored in a chroot. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { whyNoFuse } from '../support/fuse.ts';
import { untilSaid, whyNoHosts, type Host } from '../support/host.ts';
import { makeHosts } from '../support/hosts.ts';
import { Recipe } from '../support/recipe.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const recipe = new Recipe('sshfs.md');

describe('a pull by sshfs over a tunnel', { skip: whyNoHosts() || whyNoFuse() }, () => {
  const scope = new Scope({ after });
  let hosts: { client: Host; server: Host };
  /** The option came with the fix of a hole, and an older sshfs does not know it. */
  let values = {};
  const owner = (path: string): Promise<string> => hosts.client.ok(`stat -c "%U %u %a" ${path}`);
  before(async () => {
    hosts = await makeHosts(scope, {
      client: { behindNat: true },
      server: { ports: [8443], names: ['backup.example'] },
    });
    const { client, server } = hosts;
    await client.ok(
      'useradd -m -u 4321 carol && cd ~carol && echo "Dear Dave" >letter && chown carol: letter && chmod 640 letter',
    );
    await recipe.follow('The server', hosts);
    const [, pin = ''] = await untilSaid((recipe.staying[0] ?? assert.fail()).program, /pin=(sha256\/[\w+/=]+)/);
    const token = (await server.ok('cat /etc/sluice/client.token')).trim();
    await recipe.follow('The client', hosts, { 'THE-PIN': pin, 'THE-TOKEN': token });
    await untilSaid((recipe.staying[0] ?? assert.fail()).program, /tunnel up/);
  });

  it('archives under its name a user whom only the client’s passwd knows, and writes nothing at the client', async () => {
    await hosts.client.ok('touch /tmp/before');
    assert.match(await recipe.follow('The backup', hosts, values), /Number of files: \d+/);
    assert.match(await recipe.follow('What is in it', hosts), /^carol 4321 home\/carol\/letter$/m);
    assert.equal(await hosts.client.ok('find /home /etc /root /mnt -xdev -newer /tmp/before'), '');
    assert.equal(await hosts.server.ok('grep -c /mnt/client /proc/mounts || true'), '0\n');
  });

  it('gives a file back to a user whose number has changed since', async () => {
    await hosts.client.ok('rm ~carol/letter && usermod -u 5432 carol');
    await recipe.follow('A part of it back', hosts, values);
    assert.equal(await owner('/home/carol/letter'), 'carol 5432 640\n');
  });

  it('gives a machine that has lost it all everything back, with the numbers that were', async () => {
    const { client } = hosts;
    await client.ok('rm -r /home/carol && userdel carol');
    await recipe.follow('All of it back', hosts);
    assert.equal(await owner('/home/carol/letter'), 'carol 4321 640\n');
    assert.equal(await client.ok('cat /home/carol/letter'), 'Dear Dave\n');
  });

  it('by the socket for backups nothing can be written', async () => {
    const { server } = hosts;
    await server.ok('sshfs -o ssh_command="sluice rsh --to unix:/run/sluice/files.sock" client:/ /mnt/client');
    const { code, stderr } = await server.run('touch /mnt/client/home/carol/letter');
    assert.equal(code, 1);
    assert.match(stderr, /Permission denied|Operation not permitted/);
    await server.ok('umount /mnt/client');
  });
});
