/**
 * docs/recipes/pull-client-dials.md, as it stands: clients behind a NAT keep tunnels up, by which the server starts their
 * backups; unattended, while the network and the server come and go.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { untilSaid, whyNoHosts, type Host } from '../support/host.ts';
import { makeHosts, type Network } from '../support/hosts.ts';
import type { Program } from '../support/programs.ts';
import { Recipe, type Staying } from '../support/recipe.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { seededBytes } from '../support/tree.ts';

assertNothingLeaks();

const recipe = new Recipe('pull-client-dials.md');
const CLIENTS = ['laptop', 'desk'] as const;
type Client = (typeof CLIENTS)[number];

/**
 * The command of the page, with what is read for the backup coming bit by bit; in small chunks, because borg keeps the last
 * one until the next is full, and where they end is another matter in each repository.
 */
const SLOW = `#!/bin/sh
export BORG_PASSCOMMAND="cat /root/.borg-passphrase" BORG_REPO=ssh://repo/srv/borg/$(hostname)
exec borg create --chunker-params 12,16,14,4095 "::$(cat /tmp/name)" - </tmp/fifo
`;

describe('clients that keep tunnels up to the server', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  let hosts: Record<Client | 'server', Host> & { network: Network };
  let server: Staying;
  const gateways = new Map<Client, Staying>();

  /** As its timer does. */
  const backUp = (client: Client): Program =>
    hosts.server.start(`exec sluice rsh --to unix:/run/sluice/${client}.sock any`, { user: 'borgs' });

  /** Begins a slow backup of a client, and resolves when its first half is in the repository. */
  const beginSlow = async (client: Client, name: string) => {
    const { [client]: host, server: store } = hosts;
    await host.write('/usr/local/bin/back-up', SLOW, { mode: '755' });
    await host.ok(`echo ${name} >/tmp/name && rm -f /tmp/fifo && mkfifo /tmp/fifo`);
    const feeder = host.start('exec cat >/tmp/fifo');
    const size = `du -sk /srv/borg/${client}/data | cut -f1`;
    const old = Number(await store.ok(size));
    const run = backUp(client);
    feeder.child.stdin.write(seededBytes(`${client} ${name}`, 16_000_000));
    await store.until(`[ $(${size}) -gt ${old + 3000} ]`);
    return { run, feed: feeder.child.stdin };
  };

  before(async () => {
    hosts = await makeHosts(scope, {
      server: { ports: [8443], names: ['backup.example'] },
      laptop: { behindNat: true },
      desk: { behindNat: true },
    });
    await recipe.follow('The server', hosts);
    server = recipe.staying[0] ?? assert.fail();
    const [, pin = ''] = await untilSaid(server.program, /pin=(sha256\/[\w+/=]+)/);
    for (const client of CLIENTS) {
      await hosts[client].ok('useradd -m alice && head -c 2000000 /dev/urandom >/home/alice/data');
      const token = (await hosts.server.ok(`cat /etc/sluice/${client}.token`)).trim();
      await recipe.follow('The laptop', { laptop: hosts[client] }, { 'THE-TOKEN': token, 'THE-PIN': pin });
      gateways.set(client, recipe.staying.at(-1) ?? assert.fail());
    }
    await untilSaid(
      server.program,
      /tunnel up .*tunnel=laptop[^]*tunnel up .*tunnel=desk|tunnel up .*tunnel=desk[^]*tunnel up .*tunnel=laptop/,
    );
  });

  it('the server starts the backup of one, which ends with the client’s words', async () => {
    assert.match(await recipe.follow('The backup', hosts), /Number of files: \d+/);
    assert.equal(await hosts.server.ok('find /srv/borg -not -user borgs'), '');
  });

  it('whoever is root at the client can use the repository, and the one of the other client is out of reach', async () => {
    assert.match(await recipe.follow('By hand at the laptop', hosts), /^\d{4}-/m);
    const { stderr } = await hosts.laptop.run('. /tmp/.exports-root-1; borg list ssh://repo/srv/borg/desk');
    assert.match(stderr, /Repository path not allowed/);
  });

  it('systemd has nothing against the units', async () => {
    assert.equal(await recipe.follow('By a timer', hosts), '');
  });

  it('both back up at the same time while the network is cut twice: both end well', async () => {
    const { network } = hosts;
    assert.equal((await backUp('desk').ended).code, 0);
    const runs = await Promise.all(CLIENTS.map((client) => beginSlow(client, 'cut')));
    for (const client of CLIENTS) await network.breakConnections(hosts[client]);
    for (const { feed } of runs) feed.write(seededBytes('more', 4_000_000));
    for (const gateway of gateways.values()) await untilSaid(gateway.program, /connection lost, redialing/);
    await network.mend();
    for (const gateway of gateways.values()) await untilSaid(gateway.program, /connection resumed/);
    for (const client of CLIENTS) await network.cut(hosts[client]);
    for (const { feed } of runs) feed.end(seededBytes('rest', 4_000_000));
    assert.equal((await hosts.laptop.run('socat -u OPEN:/dev/null TCP:server:8443,connect-timeout=1')).code, 1);
    await network.mend();
    for (const { run } of runs) {
      const { code, stderr } = await run.ended;
      assert.equal(code, 0, stderr);
    }
  });

  it('a server that was restarted between two runs finds its clients again', async () => {
    await server.end();
    await server.beginAnew();
    for (const client of CLIENTS) {
      await hosts[client].write('/usr/local/bin/back-up', SLOW.replace('</tmp/fifo', '</etc/passwd'), { mode: '755' });
      await hosts[client].ok('echo between >/tmp/name');
    }
    for (const { code, stderr } of await Promise.all(CLIENTS.map((client) => backUp(client).ended)))
      assert.equal(code, 0, stderr);
  });

  it('a server that is killed during a run ends it with an error; the repository is sound, and the next run is good', async () => {
    const { run, feed } = await beginSlow('laptop', 'killed');
    await server.end('SIGKILL');
    assert.equal((await run.ended).code, 255);
    await server.beginAnew();
    await untilSaid((gateways.get('laptop') ?? assert.fail()).program, /backup: closed .*how=cut/);
    feed.end();
    await hosts.laptop.write('/usr/local/bin/back-up', SLOW.replace('</tmp/fifo', '</etc/passwd'), { mode: '755' });
    await hosts.laptop.ok('echo next >/tmp/name');
    const next = await backUp('laptop').ended;
    assert.equal(next.code, 0, next.stderr);
    await hosts.laptop.ok('. /tmp/.exports-root-1; borg --lock-wait 1 check --verify-data && borg list ::next');
  });
});
