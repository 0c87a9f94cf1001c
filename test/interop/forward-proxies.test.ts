/** Sinks behind proxies of others: tinyproxy (HTTP, and by TLS behind stunnel), microsocks and Dante (SOCKS5). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { certificates } from '../support/certificates.ts';
import { COMMAND, sluice, startSluice } from '../support/command.ts';
import {
  PASSWORD,
  USER,
  authFile,
  dante,
  microsocks,
  tinyproxy,
  tinyproxyByTls,
  type ForwardProxy,
} from '../support/forward-proxies.ts';
import { freePort, run, startLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { seededBytes } from '../support/tree.ts';

assertNothingLeaks();

const { ca, server } = certificates();
const pair = `cert=${server.cert}&key=${server.key}`;
const sent = seededBytes('forward proxies', 2_000_000);

/** A source of each scheme that a proxy may stand before, and the options of who dials it. */
const PLACES = {
  tcp: { source: 'tcp://127.0.0.1:0?session=yes', options: 'session=yes' },
  tls: { source: `tls://127.0.0.1:0?${pair}`, options: `ca=${ca}` },
  ws: { source: 'ws://127.0.0.1:0/x', options: 'ping=20s' },
  wss: { source: `wss://127.0.0.1:0/x?${pair}`, options: `ca=${ca}` },
} as const;

const PROXIES: Readonly<Record<string, (scope: Scope) => Promise<ForwardProxy>>> = {
  tinyproxy,
  'tinyproxy behind stunnel': tinyproxyByTls,
  microsocks,
  dante,
};

/** An environment without the proxies that this machine may have. */
const environment = (variables: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/_proxy$/i.test(name))),
  ...variables,
});

const wanted = (scope: Scope, { url }: ForwardProxy): string =>
  `proxy=${url}&proxy-auth=file:${authFile(scope)}${url.startsWith('https') ? `&proxy-ca=${ca}` : ''}`;

for (const [name, start] of Object.entries(PROXIES)) {
  describe(`through ${name}`, () => {
    for (const [scheme, { source, options }] of Object.entries(PLACES)) {
      it(`${scheme} carries bytes both ways, ends and the exit status, and the log tells the way`, async (t) => {
        const scope = new Scope(t);
        const proxy = await start(scope);
        const link = await startLink(scope, source, `exec:sh -c 'cat; sleep 0.1; echo more; exit 7'`);
        const dial = `${link.address}?${options}&${wanted(scope, proxy)}`;
        const words = [COMMAND, 'connect', '-v', dial];
        const { code, stdout, stderr } = await run(scope, process.execPath, words, { input: sent, env: environment() });
        assert.ok(stdout.equals(Buffer.concat([sent, Buffer.from('more\n')])), stderr);
        assert.equal(code, 7, stderr);
        assert.ok(stderr.includes(`via="the proxy ${proxy.url}"`), stderr);
        assert.ok(!stderr.includes(PASSWORD), stderr);
      });
    }

    it('a target that refuses is told with the target, the proxy and what it said', async (t) => {
      const scope = new Scope(t);
      const proxy = await start(scope);
      const port = await freePort();
      const dial = `tcp://127.0.0.1:${port}?${wanted(scope, proxy)}`;
      const { code, stderr } = await sluice(scope, ['connect', dial], '', { env: environment() });
      assert.match(
        stderr,
        new RegExp(`dial tcp://127\\.0\\.0\\.1:${port}\\?.*: the proxy ${proxy.url}: it (answered "500|refused)`),
      );
      assert.equal(code, 255);
    });
  });
}

describe('credentials', () => {
  for (const [name, start] of Object.entries({ tinyproxy, microsocks })) {
    it(`that ${name} does not accept, or misses, are told as such, and not shown`, async (t) => {
      const scope = new Scope(t);
      const { url } = await start(scope);
      const connect = async (more: string): Promise<string> => {
        const words = ['connect', `tcp://127.0.0.1:1?proxy=${url}${more}`];
        const { code, stderr } = await sluice(scope, words, '', { env: environment() });
        assert.equal(code, 255);
        assert.ok(!stderr.includes('wrong-word'), stderr);
        return stderr;
      };
      const file = authFile(scope, `${USER}:wrong-word\n`);
      assert.match(
        await connect(`&proxy-auth=file:${file}`),
        /did not accept the user and the password \[SLUICE_DENIED\]/,
      );
      assert.match(await connect(''), /wants a user and a password; .*proxy-auth=file:PATH.* \[SLUICE_DENIED\]/);
    });
  }
});

it('Dante passes an end on as such, also without a session: the reply that comes after it arrives', async (t) => {
  const scope = new Scope(t);
  const { url } = await dante(scope);
  const link = await startLink(scope, 'tcp://127.0.0.1:0', `exec:sh -c 'cat; sleep 0.3; echo late'`);
  const { stdout, stderr } = await sluice(scope, ['connect', `${link.address}?proxy=${url}`], 'hello\n');
  assert.equal(stdout, 'hello\nlate\n', stderr);
});

it('a session over wss outlives its proxy, and is resumed through the next', async (t) => {
  const scope = new Scope(t);
  const proxy = await tinyproxy(scope);
  const link = await startLink(scope, PLACES.wss.source, 'exec:cat');
  const dial = `${link.address}?${PLACES.wss.options}&${wanted(scope, proxy)}`;
  const { child, ended, untilStderr } = startSluice(scope, ['connect', '-v', dial], { env: environment() });
  child.stdin.write('before ');
  await once(child.stdout, 'data');
  proxy.program.child.kill('SIGKILL');
  await untilStderr(/connection lost, redialing/);
  child.stdin.end('and after');
  await tinyproxy(scope, Number(new URL(proxy.url).port));
  await untilStderr(/connection resumed/, 30_000);
  const { code, stderr } = await ended;
  assert.equal(code, 0, stderr);
  assert.match(await link.untilStderr(/closed .*in=16 out=16/).then(String), /how=ended/);
});

/** By an address of this machine that is not among its loopback addresses, which never go through one. */
const away = (address: string): string => address.replace('127.0.0.1', '0.0.0.0');

describe('a proxy of the environment', () => {
  it('is used with the credentials of its variable, but for NO_PROXY, proxy=off and loopback addresses', async (t) => {
    const scope = new Scope(t);
    const proxy = await tinyproxy(scope);
    const env = environment({ HTTPS_PROXY: proxy.url.replace('//', `//${USER}:${PASSWORD}@`) });
    const link = await startLink(scope, `wss://0.0.0.0:0/x?${pair}`, 'exec:echo hello', '--allow', 'anyone');
    const options = `?ca=${ca}&servername=localhost`;
    const way = async (dial: string, more: NodeJS.ProcessEnv = {}): Promise<boolean> => {
      const { stdout, stderr } = await sluice(scope, ['connect', '-v', `${dial}${options}`], '', {
        env: { ...env, ...more },
      });
      assert.equal(stdout, 'hello\n', stderr);
      assert.ok(!stderr.includes(PASSWORD), stderr);
      return stderr.includes(`via="the proxy ${proxy.url} (HTTPS_PROXY)"`);
    };
    const address = away(link.address);
    assert.equal(await way(address), true);
    assert.equal(await way(address, { NO_PROXY: 'other.example, 0.0.0.0/8' }), false);
    assert.equal(await way(address.replace('0.0.0.0', '127.0.0.1')), false);
    const { stdout } = await sluice(scope, ['connect', `${address}${options}&proxy=off`], '', {
      env: { ...env, HTTPS_PROXY: 'http://127.0.0.1:1' },
    });
    assert.equal(stdout, 'hello\n');
  });

  it('that is down is told by its name and variable, with the way around it', async (t) => {
    const scope = new Scope(t);
    const port = await freePort();
    const env = environment({ all_proxy: `socks5h://me:s3cret@127.0.0.1:${port}` });
    const { code, stderr } = await sluice(scope, ['connect', 'tls://target.example:7'], '', { env });
    assert.match(stderr, /the proxy socks5h:\/\/127\.0\.0\.1:\d+ \(all_proxy\): connect ECONNREFUSED .*"proxy=off"/);
    assert.ok(!stderr.includes('s3cret'));
    assert.equal(code, 255);
  });

  it('is told by sluice check, without its credentials', async (t) => {
    const scope = new Scope(t);
    const file = join(scope.folder(), 'sluice.yaml');
    writeFileSync(
      file,
      `links:
  - { name: far, source: "tcp://127.0.0.1:0", sink: "wss://far.example/x" }
  - { name: own, source: "tcp://127.0.0.1:0", sink: { tcp: "far.example:7", proxy: "socks5h://mine:1080" } }
hosts: { backup: "wss://far.example/borg" }
`,
      { mode: 0o600 },
    );
    const env = environment({ HTTPS_PROXY: 'http://me:s3cret@gate.example:3128' });
    const { code, stdout } = await sluice(scope, ['check', '-c', file], '', { env });
    assert.match(stdout, /note {4}wss goes through the proxy http:\/\/gate\.example:3128 \(HTTPS_PROXY\)\n/);
    assert.match(stdout, /note {4}tcp goes through the proxy socks5h:\/\/mine:1080\n/);
    assert.match(stdout, /socks5h:\/\/mine:1080 may close both directions of tcp when one has ended/);
    assert.match(stdout, /backup {2}wss:\S+ {2}through the proxy http:\/\/gate\.example:3128 \(HTTPS_PROXY\)\n/);
    assert.ok(!stdout.includes('s3cret'));
    assert.equal(code, 0, stdout);
  });
});

it('a proxy that takes the connection and never answers is given up after ten seconds, by its name', async (t) => {
  const scope = new Scope(t);
  const silent = createServer((socket) => void socket.on('error', () => {}).resume()).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  scope.defer(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  const begun = performance.now();
  const dial = `wss://target.example/x?proxy=http://127.0.0.1:${port}`;
  const { code, stderr } = await sluice(scope, ['connect', dial], '', { env: environment() });
  assert.match(stderr, new RegExp(`no answer within 10 s by way of the proxy http://127\\.0\\.0\\.1:${port} `));
  assert.equal(code, 255);
  assert.ok(performance.now() - begun < 15_000);
});

it('a proxy by https that is not verified gets no credentials', async (t) => {
  const scope = new Scope(t);
  const { url } = await tinyproxyByTls(scope);
  const dial = `tcp://127.0.0.1:1?proxy=${url}&proxy-auth=file:${authFile(scope)}`;
  const { stderr } = await sluice(scope, ['connect', dial], '', { env: environment() });
  assert.match(stderr, /the proxy https:\/\/localhost:\d+: .*\(it is not verified; give its authority as "proxy-ca"\)/);
});
