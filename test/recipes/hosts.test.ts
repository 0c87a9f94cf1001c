/** The hosts that the recipes run on are what they are taken for: else their tests would prove little. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BORG2, untilSaid, whyNoHosts } from '../support/host.ts';
import { makeHosts } from '../support/hosts.ts';
import { start } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const listening = (port: number): string => `exec socat -d -d TCP-LISTEN:${port},fork EXEC:cat`;
const greet = (place: string): string => `echo hello | socat -T 5 - TCP:${place},connect-timeout=5`;

describe('hosts of the tests', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  let hosts: Awaited<ReturnType<typeof make>>;
  const make = () =>
    makeHosts(scope, { open: {}, hidden: { behindNat: true }, walled: { ports: [80], names: ['wall.example'] } });
  before(async () => (hosts = await make()));

  it('have networks of their own: who is behind a NAT reaches others, and is reached by nobody', async () => {
    const { open, hidden, network } = hosts;
    await untilSaid(open.start(listening(80)), /listening on/);
    await untilSaid(hidden.start(listening(80)), /listening on/);
    assert.equal(await hidden.ok(greet('open:80')), 'hello\n');
    assert.match((await open.run(greet(`${network.addressOf(hidden)}:80`))).stderr, /unreachable/);
  });

  it('have firewalls that let in what they are told to, under every name', async () => {
    const { hidden, walled } = hosts;
    await untilSaid(walled.start(listening(80)), /listening on/);
    await untilSaid(walled.start(listening(81)), /listening on/);
    assert.equal(await hidden.ok(greet('wall.example:80')), 'hello\n');
    assert.match((await hidden.run(greet('walled:81'))).stderr, /refused/);
  });

  it('lose what is sent while the network is cut, and get it when it is mended', async () => {
    const { open, hidden, network } = hosts;
    await untilSaid(open.start(listening(82)), /listening on/);
    const talk = hidden.start('exec socat - TCP:open:82');
    talk.child.stdin.write('one');
    await new Promise((resolve) => talk.child.stdout.once('data', resolve));
    await network.cut(hidden);
    assert.match((await hidden.run('echo | socat - TCP:open:82,connect-timeout=1')).stderr, /timed out/i);
    talk.child.stdin.end('two');
    await network.mend();
    assert.equal((await talk.ended).stdout.toString(), 'onetwo');
  });

  it('have accounts and files of their own, and the machine sees none of them', async () => {
    const { open, hidden } = hosts;
    const machine = readFileSync('/etc/passwd', 'utf8');
    await open.ok('useradd --create-home sluice-test-user && echo mine >~sluice-test-user/file');
    assert.equal(
      await open.ok('id -un; pwd', { user: 'sluice-test-user' }),
      'sluice-test-user\n/home/sluice-test-user\n',
    );
    assert.equal((await hidden.run('id sluice-test-user')).code, 1);
    assert.equal(readFileSync('/etc/passwd', 'utf8'), machine);
  });

  it('have the command and both borgs, for root and for anybody', async () => {
    const { open } = hosts;
    for (const user of ['root', 'sluice-test-user'])
      assert.match(
        await open.ok(`sluice --version && borg --version && ${BORG2}/borg --version`, { user }),
        /^\d+\.\d+\.\d+\nborg 1\.\d.*\nborg 2\.\d/,
      );
  });
});

it('a host ends when its test does, with all that it runs and mounts', { skip: whyNoHosts() }, async () => {
  const cleanups: (() => Promise<void>)[] = [];
  const { alone } = await makeHosts(new Scope({ after: (cleanup) => cleanups.push(cleanup) }), { alone: {} });
  const sleeper = alone.start(
    'mkdir /tmp/m && mount -t tmpfs t /tmp/m && (setsid sleep 1000 & setsid sleep 1000 & echo >&2 up; wait)',
  );
  await untilSaid(sleeper, /up/);
  assert.equal(existsSync(`/proc/${alone.pid}`), true);
  for (const cleanup of cleanups) await cleanup();
  assert.equal(existsSync(`/proc/${alone.pid}`), false);
  assert.equal((await sleeper.ended).code, null);
});

/** A process that makes a host, and tells its number. */
const MAKER = `import { Host } from ${JSON.stringify(join(import.meta.dirname, '../support/host.ts'))};
import { Scope } from ${JSON.stringify(join(import.meta.dirname, '../support/scope.ts'))};
const host = await Host.start(new Scope({ after() {} }), 'alone');
host.start('sleep 1000');
console.log(host.pid);`;

it('a host ends also when the process that made it is killed', { skip: whyNoHosts() }, async (t) => {
  const scope = new Scope(t);
  const env = { ...process.env, TMPDIR: scope.folder() };
  const maker = start(scope, process.execPath, ['--input-type=module', '--eval', MAKER], { env });
  const [pid] = (await once(maker.child.stdout, 'data')) as [Buffer];
  const place = `/proc/${pid.toString().trim()}`;
  assert.equal(existsSync(place), true);
  maker.child.kill('SIGKILL');
  await maker.ended;
  while (existsSync(place)) await sleep(10); // the kernel takes a moment
});
