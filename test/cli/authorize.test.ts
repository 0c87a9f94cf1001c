/** `sluice authorize` grants what works, locks nobody out, and tells all that the client needs. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { selfSigned } from '../../transports/self-signed.ts';
import { pinOf } from '../support/certificates.ts';
import { sluice, type Ended } from '../support/command.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const TEXT = `identities: { a: { token: "file:a.token" } }
tunnels:
  in: { listen: "wss://0.0.0.0:7001/t?cert=self", allow: [a] }
  out: { dial: "unix:/run/far.sock" }
  open: { listen: "unix:./open.sock" }
links:
  - { name: offered, source: "tunnel:in/repo", sink: "exec:cat" }
  - { name: for-out, source: "tunnel:out/repo", sink: "exec:cat" }
  - { name: local, source: "unix:./local.sock?session=yes", sink: "exec:cat" }
  - { name: plain, source: "tcp://0.0.0.0:7002", sink: "exec:cat", allow: [a] }
  - { name: borg, source: "wss://0.0.0.0:7003/borg?cert=self", sink: "exec:cat", allow: [a] }
`;

function place(t: TestContext): { folder: string; config: string; run: (...args: string[]) => Promise<Ended> } {
  const scope = new Scope(t);
  const folder = scope.folder();
  const config = join(folder, 'sluice.yaml');
  writeFileSync(config, TEXT, { mode: 0o600 });
  writeFileSync(join(folder, 'a.token'), 'slu_a_0123456789abcdef\n', { mode: 0o600 });
  const env = { ...process.env, XDG_STATE_HOME: folder };
  const run = (...args: string[]): Promise<Ended> => sluice(scope, [...args, '-c', config], '', { cwd: folder, env });
  return { folder, config, run };
}

describe('authorize refuses, and changes nothing,', { concurrency: 2 }, () => {
  const refused: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['a link for the far side of a tunnel', ['--link', 'offered'], /of tunnel "in".*use --tunnel in instead/],
    ['a link for a tunnel that is dialed', ['--link', 'for-out'], /tunnel "out", which this side dials/],
    ['a link that everybody here may use', ['--link', 'local'], /has no "allow:".*would be locked out/],
    ['a link that cannot hear a token', ['--link', 'plain'], /by a token; add session=yes/],
    ['a tunnel that dials', ['--tunnel', 'out'], /tunnel "out" dials/],
    ['a tunnel that everybody here may use', ['--tunnel', 'open'], /has no "allow:".*would be locked out/],
    ['a tunnel that is not there', ['--tunnel', 'inn'], /there is no tunnel "inn"; did you mean "in"\?/],
    ['a link that is not there', ['--link', 'brog'], /there is no link "brog"; did you mean "borg"\?/],
  ];
  for (const [what, flags, says] of refused)
    it(what, async (t) => {
      const { folder, config, run } = place(t);
      const { code, stdout, stderr } = await run('authorize', 'b', ...flags);
      assert.match(stderr, says);
      assert.deepEqual([code, stdout, readFileSync(config, 'utf8')], [78, '', TEXT]);
      assert.ok(!existsSync(join(folder, 'b.token')) && !existsSync(join(folder, 'identities')));
    });
});

it('authorize --tunnel adds to what the tunnel allows, and prints the block of the one who dials', async (t) => {
  const { config, run } = place(t);
  const { code, stdout, stderr } = await run('authorize', 'b', '--tunnel', 'in');
  assert.equal(code, 0, stderr);
  assert.match(readFileSync(config, 'utf8'), /in: \{.*allow: \[ ?a, b ?\] \}/);
  assert.match(stdout, /\ntunnels:\n {2}\S+: \{ dial: "wss:\/\/[^0][^"]*:7001\/t", token: "file:[^"]*\/b\.token" \}\n/);
  assert.match(stdout, /"allow:" has changed: reload the gateway now \(systemctl reload sluice/);
  assert.match(stdout, /is a guess/);
});

it('authorize prints the pin of a certificate that the gateway has made', async (t) => {
  const { folder, run } = place(t);
  assert.match((await run('authorize', 'b', '--link', 'borg')).stdout, /add the pin= that it logs/);
  mkdirSync(join(folder, 'sluice'), { mode: 0o700 });
  await selfSigned(join(folder, 'sluice'));
  const { stdout } = await run('authorize', 'c', '--link', 'borg');
  const pin = pinOf({ cert: join(folder, 'sluice/self-signed/cert.pem'), key: '' });
  assert.ok(stdout.includes(`:7003/borg?pin=${pin}"`), stdout);
});

it('authorize without a link says how to let in whoever has the token now', async (t) => {
  const { stdout } = await place(t).run('authorize', 'b');
  assert.match(stdout, /Nothing lets b in yet: add it to the "allow:"/);
  assert.doesNotMatch(stdout, /--replace/);
});

it('authorize and revoke leave an identity the limits that it has', async (t) => {
  const { config, run } = place(t);
  writeFileSync(config, TEXT.replace('"file:a.token"', '$&, limits: { commands-per-identity: 2 }'));
  const { code, stderr } = await run('authorize', 'a', '--replace', '--out', '-');
  assert.equal(code, 0, stderr);
  const kept = /a: \{ token: "?file:identities\/a\.token"?, limits: \{ commands-per-identity: 2 \} \}/;
  assert.match(readFileSync(config, 'utf8'), kept);
  assert.equal((await run('revoke', 'a')).code, 0);
  assert.equal((await run('authorize', 'a', '--replace', '--out', '-')).code, 0);
  assert.match(readFileSync(config, 'utf8'), kept);
});

it('check tells a link that allows nobody whom its tunnel lets in', async (t) => {
  const { config, run } = place(t);
  const wrong = TEXT.replace('a: {', 'z: { uid: 1 }, a: {').replace('in/repo", sink: "exec:cat"', '$&, allow: [z]');
  writeFileSync(config, wrong);
  const { code, stdout } = await run('check');
  assert.match(
    stdout,
    /WRONG {3}link "offered" allows z, and its far side, that of tunnel "in", is a: nobody can use it/,
  );
  assert.equal(code, 78);
});
