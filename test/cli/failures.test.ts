/** What goes wrong while it runs: each failure is told, concerns one connection, and leaves the gateway serving. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { certificates } from '../support/certificates.ts';
import { sluice } from '../support/command.ts';
import { freePort, startLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const { ca, server, otherName, stranger } = certificates();
const pair = `cert=${server.cert}&key=${server.key}`;
const portOf = (address: string): number => Number(/:(\d+)(?:\/|$)/.exec(address)?.[1]);

/** A client of a TCP port that survives whatever happens to it. */
function rawClient(scope: Scope, port: number): Socket {
  const socket = connect({ port, host: '127.0.0.1' }).on('error', () => {});
  scope.defer(() => socket.destroy());
  return socket;
}

describe('a server that is not the right one', () => {
  const cases = [
    [
      'is not signed by an authority we know',
      server,
      '',
      /certificate \(the server is not verified; give its authority as .+ca/,
    ],
    ['signed itself', stranger, `?ca=${ca}`, /certificate \(the server is not verified; give its authority as .+ca/],
    ['has another name', otherName, `?ca=${ca}`, /the name does not match; give the right one as .+servername/],
    ['has another key', server, `?pin=sha256/${'A'.repeat(43)}=`, /not a pinned one; its pin is sha256\//],
  ] as const;
  for (const scheme of ['tls', 'wss'] as const) {
    for (const [what, { cert, key }, options, says] of cases) {
      it(`${scheme}: one that ${what} is refused before a byte passes`, async (t) => {
        const scope = new Scope(t);
        const link = await startLink(scope, `${scheme}://127.0.0.1:0?cert=${cert}&key=${key}`, 'exec:cat');
        const { code, stdout, stderr } = await sluice(scope, ['connect', `${link.address}${options}`], 'secret');
        assert.match(stderr, says);
        assert.deepEqual([code, stdout], [255, '']);
      });
    }
  }
});

describe('a far side that speaks something else is told as such', () => {
  for (const [what, source, dialed, says] of [
    ['no TLS', 'tcp://127.0.0.1:0', 'tls', /wrong version number \(what answers there does not speak TLS\)/],
    ['no TLS', 'tcp://127.0.0.1:0', 'wss', /wrong version number \(what answers there does not speak TLS\)/],
    ['no HTTP', 'tcp://127.0.0.1:0', 'ws', /Expected HTTP/],
    [
      'TLS with client certificates',
      `tls://127.0.0.1:0?${pair}&ca=${ca}`,
      'tls',
      /TLS: .*certificate required \[SLUICE_DIAL\]/,
    ],
  ] as const) {
    it(`${dialed} to one that speaks ${what}: status 255`, async (t) => {
      const scope = new Scope(t);
      const { address } = await startLink(scope, source, 'exec:echo I speak only when spoken to');
      const rest = dialed === 'ws' ? '' : `?ca=${ca}`;
      const port = portOf(address);
      const { code, stdout, stderr } = await sluice(scope, ['connect', `${dialed}://127.0.0.1:${port}${rest}`], 'x\n');
      assert.match(stderr, says);
      assert.deepEqual([code, stdout], [255, '']);
    });
  }
});

it('a sink that is down closes the inbound at once, is told, and is tried afresh by the next connection', async (t) => {
  const scope = new Scope(t);
  const port = await freePort();
  const { address, untilStderr } = await startLink(scope, 'tcp://127.0.0.1:0', `tcp://127.0.0.1:${port}`);
  const since = performance.now();
  const refused = await sluice(scope, ['connect', address], 'x');
  assert.equal(refused.code, 255);
  assert.ok(performance.now() - since < 3_000);
  await untilStderr(/closed .*how=cut by=sink .*code=SLUICE_DIAL reason=.*ECONNREFUSED/);
  await startLink(scope, `tcp://127.0.0.1:${port}`, 'exec:cat');
  assert.equal((await sluice(scope, ['connect', address], 'now it is up')).stdout, 'now it is up');
});

describe('a command that cannot be started', () => {
  for (const [what, command, says] of [
    ['is not there', '/no/such/thing', /\/no\/such\/thing is not there/],
    ['is not in PATH', 'no-such-thing -x', /command not found: no-such-thing \(looked in .+\)/],
    ['is a folder', '/tmp', /\/tmp is a folder/],
  ] as const) {
    it(`one that ${what}: status 255 and the reason on standard error`, async (t) => {
      const { code, stdout, stderr } = await sluice(new Scope(t), ['connect', `exec:${command}`], 'x');
      assert.match(stderr, says);
      assert.deepEqual([code, stdout], [255, '']);
    });
  }

  it('one that is not executable: status 255, and behind a gateway its log says why', async (t) => {
    const scope = new Scope(t);
    const file = join(scope.folder(), 'script');
    writeFileSync(file, '#!/bin/sh\n', { mode: 0o600 });
    const direct = await sluice(scope, ['connect', `exec:${file}`]);
    assert.match(direct.stderr, /script is not executable/);
    assert.equal(direct.code, 255);
    const { address, untilStderr } = await startLink(scope, 'tcp://127.0.0.1:0', `exec:${file}`);
    assert.equal((await sluice(scope, ['connect', address])).code, 255);
    await untilStderr(/closed .*code=SLUICE_DIAL reason=.*not executable/);
  });
});

/** Each kind of bad peer holds its connection while a good one is served; ours may close it, and must outlive it. */
const BAD_PEERS: Readonly<Record<string, (socket: Socket) => void>> = {
  'sends garbage': (socket) => void socket.write(Buffer.alloc(70_000, 'garbage \r\n\r\n\0\xff', 'latin1')),
  resets: (socket) => void socket.once('connect', () => socket.resetAndDestroy()),
  'resets in the middle of its greeting': (socket) => {
    socket.write('GET /x HTTP/1.1\r\nHost: x\r\n', () => socket.resetAndDestroy());
  },
  'says nothing': () => {},
};
const SOURCES = { tcp: '', ws: '/x', tls: `?${pair}`, wss: `/x?${pair}` };

for (const [scheme, rest] of Object.entries(SOURCES)) {
  it(`${scheme}: a peer that sends garbage, resets or says nothing ends only its own connection`, async (t) => {
    const scope = new Scope(t);
    const { address } = await startLink(scope, `${scheme}://127.0.0.1:0${rest}`, 'exec:cat');
    for (const [what, behave] of Object.entries(BAD_PEERS)) {
      const bad = rawClient(scope, portOf(address));
      await once(bad, 'connect').then(() => behave(bad));
      const good = await sluice(scope, ['connect', `${address}${rest.includes('?') ? `?ca=${ca}` : ''}`], what);
      assert.equal(good.stdout, what, good.stderr);
    }
  });
}

/** A ClientHello of which all but the start is missing: a record of 512 bytes is announced. */
const HELLO = Buffer.from('1603010200010001fc0303', 'hex');
const SLOW_PEERS = [
  ['a client that drips its request head', 'ws', 'GET /x HTTP/1.1\r\n', 'X: y\r\n'],
  ['a client that says nothing', 'ws', '', ''],
  ['a client that drips its greeting', 'tls', HELLO, 'x'],
  ['a client that says nothing', 'tls', '', ''],
  ['a client that drips its greeting', 'wss', HELLO, 'x'],
  ['a client that says nothing', 'wss', '', ''],
] as const;

describe('whoever is not done in ten seconds is cut, however steadily it sends', { concurrency: 6 }, () => {
  for (const [what, scheme, first, drop] of SLOW_PEERS) {
    it(`${scheme}: ${what}`, { timeout: 20_000 }, async (t) => {
      const scope = new Scope(t);
      const { address } = await startLink(scope, `${scheme}://127.0.0.1:0${SOURCES[scheme]}`, 'exec:cat');
      const client = rawClient(scope, portOf(address));
      const since = performance.now();
      client.write(first);
      const drip = setInterval(() => client.write(drop), 200);
      scope.defer(() => clearInterval(drip));
      // Not events.once: a drop written just after the cut is answered by a reset, and that is no failure here.
      await new Promise((resolve) => client.resume().once('close', resolve));
      const seconds = (performance.now() - since) / 1000;
      assert.ok(seconds > 9 && seconds < 15, `${seconds} s`);
    });
  }
});

it('a plain connect to a source of sessions is a failure with the remedy, and prints no reply', async (t) => {
  const scope = new Scope(t);
  const source = `unix:${scope.folder()}/s`;
  await startLink(scope, `${source}?session=yes`, 'exec:cat');
  const plain = await sluice(scope, ['connect', source], 'hello');
  assert.match(plain.stderr, /speaks nothing but sessions; write unix:\S+\?session=yes, or use sluice rsh --to/);
  assert.deepEqual([plain.code, plain.stdout], [255, '']);
  assert.equal((await sluice(scope, ['connect', `${source}?session=yes`], 'hello')).stdout, 'hello');
});

it('every help ends with its last line', async (t) => {
  const scope = new Scope(t);
  for (const command of [
    [],
    ['link'],
    ['run'],
    ['check'],
    ['rsh'],
    ['tunnel'],
    ['authorize'],
    ['plugin'],
    ['transports'],
  ]) {
    const { stdout } = await sluice(scope, [...command, '--help']);
    assert.match(stdout, /\S\n$/, command.join(' '));
    assert.doesNotMatch(stdout, /help \[command\]/);
  }
});
