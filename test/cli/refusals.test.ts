/** What `link` and `connect` refuse before anything starts: the message names what was got and what would be right. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { certificates } from '../support/certificates.ts';
import { sluice } from '../support/command.ts';
import { startLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const { server, stranger } = certificates();
const pair = `cert=${server.cert}&key=${server.key}`;
const here = 'tcp://127.0.0.1:0';
const cat = 'exec:cat';
const long = `/tmp/${'ä'.repeat(60)}`;

/** What is tried, its arguments, the exit status, and what standard error says. */
const REFUSED: readonly (readonly [string, readonly string[], number, RegExp])[] = [
  ['a source on all of IPv4', ['link', 'tcp://0.0.0.0:0', cat], 78, /reached from the network.*"--allow anyone"/],
  ['a source on all of IPv6', ['link', 'tcp://[::]:0', cat], 78, /reached from the network.*"--allow anyone"/],
  ['a tls source on a network', ['link', `tls://0.0.0.0:0?${pair}`, cat], 78, /tls:\/\/0.0.0.0:\d+ can be reached/],
  ['a ws source on a network', ['link', 'ws://0.0.0.0:0/x', cat], 78, /ws:\/\/0.0.0.0:\d+\/x can be reached/],
  ['a wss source on a network', ['link', `wss://0.0.0.0:0/x?${pair}`, cat], 78, /wss:\/\/.* can be reached/],
  [
    'an identity, and no configuration that has it',
    ['link', '--allow', 'laptop', here, cat],
    78,
    /--allow laptop: identities are those of a configuration: there is no configuration: .*name one with -c FILE/,
  ],
  ['an unknown scheme', ['link', 'tpc://127.0.0.1:1', cat], 78, /unknown scheme "tpc:"; did you mean "tcp"\?/],
  ['a scheme like no other', ['connect', 'gopher://x'], 78, /unknown scheme "gopher:"; known: .*unix/],
  ['an address without a scheme', ['connect', '/run/x.sock'], 78, /expected SCHEME:…, for example unix:/],
  ['an unknown option', ['link', 'unix:/x?mdoe=0600', cat], 78, /unknown option "mdoe"; did you mean "mode"\?/],
  [
    'an option of the other role',
    ['connect', 'unix:/x?mode=0600'],
    78,
    /"mode" belongs to a source, and this is a sink/,
  ],
  ['an option given twice', ['link', 'unix:/x?mode=0600&mode=0660', cat], 78, /option "mode" is given twice/],
  ['an option without a value', ['link', 'unix:/x?mode', cat], 78, /expected KEY=VALUE after "\?", got "mode"/],
  ['a mode that is none', ['link', 'unix:/x?mode=0999', cat], 78, /expected octal such as 0660, got "0999"/],
  [
    'a duration that is none',
    ['connect', 'tcp://x:1?keepalive=soon'],
    78,
    /expected a duration such as 20s or 5m, or "off", got "soon"/,
  ],
  [
    'a pin that is none',
    ['connect', 'tls://x:1?pin=abc'],
    78,
    /expected sha256\/ and 44 characters of base64, got "abc"/,
  ],
  ['a bad percent-encoding', ['connect', 'unix:/x%zz'], 78, /"\/x%zz" is not percent-encoded UTF-8; .* %25/],
  ['a NUL in a path', ['connect', 'unix:/x%00y'], 78, /NUL/],
  ['no path', ['connect', 'unix:'], 78, /there is no path/],
  ['no host', ['connect', 'tcp://:80'], 78, /no host in ":80"/],
  ['no port', ['connect', 'tcp://localhost'], 78, /expected HOST:PORT.*got "localhost"/],
  ['no command', ['connect', 'exec:'], 78, /there is no command/],
  ['an open quote', ['connect', 'exec:sh -c "x'], 78, /a quote is not closed/],
  ['an abstract socket', ['connect', 'unix:@x'], 78, /plugin "abstract"/],
  [
    'a path too long in bytes to listen on',
    ['link', `unix:${long}`, cat],
    78,
    /is 125 bytes long and the system takes 107/,
  ],
  ['a path too long in bytes to dial', ['connect', `unix:${long}`], 78, /is 125 bytes long and the system takes 107/],
  ['a port above all ports', ['connect', 'tcp://x:65536'], 78, /port 65536 is out of range, expected 1 to 65535/],
  ['a port 0 to dial', ['connect', 'wss://x:0/'], 78, /port 0 cannot be dialed/],
  ['a command as a source', ['link', cat, here], 78, /"exec" can only be a sink; put it second/],
  ['a descriptor as a sink', ['connect', 'fd:3'], 78, /"fd" can only be a source; put it first/],
  [
    'an option of other schemes',
    ['connect', 'ws://127.0.0.1:1/?pin=x'],
    78,
    /unknown option "pin"; it belongs to tls and wss/,
  ],
  ['a configuration without its flag', ['check', 'a.yaml'], 255, /check takes no argument; name .*: -c a\.yaml/],
  ['the same to run', ['run', 'a.yaml'], 255, /run takes no argument; name the configuration: -c a\.yaml/],
  ['a misspelt flag of rsh', ['rsh', '--confg', 'x'], 255, /unknown option --confg; did you mean "--config"\? \(/],
  [
    'a tunnel to an open door',
    ['tunnel', 'unix:/none', '--open', 'tcp://0.0.0.0:0=db'],
    78,
    /--open: tcp:\S+ can be reached from the network.*listen on 127\.0\.0\.1(?!.*--allow)/,
  ],
  [
    'a rate that is none',
    ['connect', '--plugin', 'sluice/rate', 'rate+unix:/x?rate.send=2x'],
    78,
    /option "rate\.send": expected a rate in bytes a second, such as 500K/,
  ],
  ['no sink', ['link', here], 255, /missing required argument 'sink'/],
  ['too many addresses', ['connect', here, here], 255, /too many arguments/],
  [
    'an unknown flag',
    ['link', '--alow', 'anyone', here, cat],
    255,
    /unknown option '--alow' \[SLUICE_USAGE\]\n.*--allow/,
  ],
  ['an unknown command', ['lnik', here, cat], 255, /unknown command 'lnik' \[SLUICE_USAGE\]\n.*link/],
  [
    'a time that is none',
    ['link', '--idle', 'soon', here, cat],
    255,
    /expected a duration such as 20s or 5m, or "off"/,
  ],
  [
    'a flag for a command without one',
    ['connect', '--user', 'x', 'tcp://x:1'],
    255,
    /--user is for a sink that starts/,
  ],
  [
    'a certificate that is not there',
    ['link', `tls://127.0.0.1:0?cert=/none&key=${server.key}`, cat],
    255,
    /"cert": cannot read \/none \(ENOENT\)/,
  ],
  [
    'a certificate that is none',
    ['link', `tls://127.0.0.1:0?cert=${server.key}&key=${server.key}`, cat],
    255,
    /holds no certificate in PEM form/,
  ],
  [
    'a key of another certificate',
    ['link', `wss://127.0.0.1:0/?cert=${server.cert}&key=${stranger.key}`, cat],
    255,
    /the key in .* is not that of the certificate in/,
  ],
  [
    'a key without its certificate',
    ['link', `tls://127.0.0.1:0?key=${server.key}`, cat],
    78,
    /a source needs "cert" and "key"/,
  ],
  [
    'a folder that is not there',
    ['link', 'unix:/none/at/all', cat],
    255,
    /there is no folder \/none\/at; make it first/,
  ],
];

describe('refused, with the remedy', { concurrency: 2 }, () => {
  for (const [what, args, status, says] of REFUSED) {
    it(`${what}: status ${status}`, async (t) => {
      const { code, stdout, stderr } = await sluice(new Scope(t), args);
      assert.match(stderr, says);
      assert.deepEqual([code, stdout], [status, '']);
      assert.doesNotMatch(stderr, /listening|\n {4}at /);
    });
  }
});

it('a network source starts once it says that anyone may use it', async (t) => {
  const { address } = await startLink(new Scope(t), 'tcp://0.0.0.0:0', cat, '--allow', 'anyone');
  assert.match(address, /^tcp:\/\/0\.0\.0\.0:\d+$/);
});

it('a socket on which another sluice listens is not taken over', async (t) => {
  const scope = new Scope(t);
  const source = `unix:${scope.folder()}/s`;
  await startLink(scope, source, cat);
  const second = await sluice(scope, ['link', source, cat]);
  assert.match(second.stderr, /another sluice listens there/);
  assert.equal(second.code, 255);
  assert.equal((await sluice(scope, ['connect', source], 'still here')).stdout, 'still here');
});

it('a socket on which another program listens is left alone', async (t) => {
  const scope = new Scope(t);
  const path = join(scope.folder(), 's');
  const other: Server = createServer((socket) => socket.on('error', () => {}).end('other')).listen(path);
  await once(other, 'listening');
  scope.defer(() => other.close());
  const { code, stderr } = await sluice(scope, ['link', `unix:${path}`, cat]);
  assert.match(stderr, /another program listens there; it is left alone/);
  assert.equal(code, 255);
  assert.equal((await sluice(scope, ['connect', `unix:${path}`])).stdout, 'other');
});

it('a file at the path of a socket is never removed', async (t) => {
  const scope = new Scope(t);
  const path = join(scope.folder(), 's');
  writeFileSync(path, 'precious');
  const { code, stderr } = await sluice(scope, ['link', `unix:${path}`, cat]);
  assert.match(stderr, /something that is not a socket stands there; it is left alone/);
  assert.deepEqual([code, readFileSync(path, 'utf8')], [255, 'precious']);
});
