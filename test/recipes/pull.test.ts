/** docs/recipes/pull.md, as it stands: a server behind a NAT has a client back up into it, by one command. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { sendSignal, untilSaid, whyNoHosts, type Host } from '../support/host.ts';
import { makeHosts } from '../support/hosts.ts';
import { Recipe } from '../support/recipe.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { seededBytes } from '../support/tree.ts';

assertNothingLeaks();

const recipe = new Recipe('pull.md');
/** What a pull could leave behind: sockets, folders of services, processes. */
const LEFT = 'find /tmp -name "*.sock" -o -name "sluice-services-*"; pgrep --list-full "borg|ssh" || true';

/** The size that a repository has when a good part of a backup is in it. */
const HALF = 'find /srv/borg/client/data -size +3000k | grep -q .';

describe('a backup that the server pulls', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  let hosts: { client: Host; server: Host };
  let passphrase = '';
  const values = { 'THE-TOKEN': '', 'THE-PIN': '' };
  const assertNothingIsLeft = async (): Promise<void> => {
    for (const host of [hosts.client, hosts.server]) assert.equal(await host.ok(LEFT), '');
  };
  const tunnel = (options: string, ...flags: string[]): string =>
    `exec sluice tunnel "wss://client.example:8443/tunnel?token=file:$HOME/.config/sluice/client.token&pin=${values['THE-PIN']}${options}" ${flags.join(' ')}`;
  const SERVE = '--serve "repo=exec:borg serve --restrict-to-path /srv/borg"';

  before(async () => {
    hosts = await makeHosts(scope, {
      client: { ports: [8443], names: ['client.example'] },
      server: { behindNat: true },
    });
    const { client } = hosts;
    await client.ok('useradd -m alice && head -c 2000000 /dev/urandom >/home/alice/data');
    await recipe.follow('The client', hosts);
    const [, pin = ''] = await untilSaid((recipe.staying[0] ?? assert.fail()).program, /pin=(sha256\/[\w+/=]+)/);
    Object.assign(values, { 'THE-PIN': pin, 'THE-TOKEN': (await client.ok('cat /etc/sluice/server.token')).trim() });
    passphrase = (await client.ok('cat /root/.borg-passphrase')).trim();
    await recipe.follow('The server', hosts, values);
  });

  it('ends with the client’s own words, and what it has read is in the server’s repository', async () => {
    const { server, client } = hosts;
    assert.match(await recipe.follow('The backup', hosts, values), /Number of files: \d+/);
    await assertNothingIsLeft();
    const extract = `export BORG_PASSPHRASE='${passphrase}'; cd /srv/borg
      borg extract --stdout client::$(borg list --short --last 1 client) home/alice/data | sha256sum`;
    assert.equal(await server.ok(extract, { user: 'borgs' }), await client.ok('sha256sum </home/alice/data'));
  });

  it('does the same with borg 2', async () => {
    assert.match(await recipe.follow('The backup with borg 2', hosts, values), /Number of files: \d+/);
    await assertNothingIsLeft();
  });

  it('can as well be begun at the client, while the server keeps the way open', async () => {
    assert.match(await recipe.follow('The client chooses the time', hosts, values), /^by-hand /m);
    await recipe.staying.at(-1)?.end();
    await hosts.server.until('! pgrep borg');
  });

  it('starts nothing but what the client’s configuration names, and ends with its status', async () => {
    const { server, client } = hosts;
    const other = await server.run(tunnel('', SERVE, '--run uname'), { user: 'borgs' });
    assert.match(other.stderr, /there is no service "uname" in this tunnel; there are: backup, backup2/);
    assert.equal(other.code, 255);
    await client.write('/usr/local/bin/back-up-2', '#!/bin/sh\necho "disk on fire" >&2; exit 7\n', { mode: '755' });
    const failed = await server.run(tunnel('', SERVE, '--run backup2'), { user: 'borgs' });
    assert.deepEqual([failed.code, failed.stderr.trim()], [7, 'disk on fire']);
  });

  it('a server that is killed in the middle ends the client’s command; the repository is sound, and nothing is left', async () => {
    const { server, client } = hosts;
    const slow =
      'export BORG_PASSCOMMAND="cat /root/.borg-passphrase"; borg create --chunker-params 12,16,14,4095 ssh://repo/srv/borg/client::half - </tmp/fifo';
    await client.write('/usr/local/bin/back-up', `#!/bin/sh\n${slow}; echo $? >/tmp/status\n`, { mode: '755' });
    const feeder = client.start('mkfifo /tmp/fifo && exec cat >/tmp/fifo');
    feeder.child.stdin.write(seededBytes('pull', 20_000_000));
    const killed = server.start(tunnel('&resume=1s', SERVE, '--run backup'), { user: 'borgs' });
    await server.until(HALF);
    sendSignal(killed, 'SIGKILL');
    await untilSaid((recipe.staying[0] ?? assert.fail()).program, /backup: closed .*how=cut/);
    await client.until(`[ -z "$(${LEFT})" ]`);
    await server.until('! pgrep --exact borg');
    const check = `BORG_PASSPHRASE='${passphrase}' borg --lock-wait 0 check --verify-data /srv/borg/client`;
    await server.ok(check, { user: 'borgs' });
  });
});
