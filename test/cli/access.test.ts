/** Fail closed: who may do what is told, and where it cannot be known nothing starts. */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { certificates, pinOf } from '../support/certificates.ts';
import { sluice, startSluice } from '../support/command.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const { server, client } = certificates();
const pair = `cert=${server.cert}&key=${server.key}`;
const TOKEN = 'slu_laptop_0123456789abcdef';

function configure(scope: Scope, identities: string, link: string): string {
  const folder = scope.folder();
  writeFileSync(join(folder, 'good'), TOKEN, { mode: 0o600 });
  writeFileSync(join(folder, 'empty'), '', { mode: 0o600 });
  writeFileSync(join(folder, 'open'), TOKEN, { mode: 0o600 });
  chmodSync(join(folder, 'open'), 0o644);
  const file = join(folder, 'sluice.yaml');
  writeFileSync(file, `${identities}\nlinks:\n  - ${link}\n`, { mode: 0o600 });
  return file;
}

const link = (allow: string, source = `tls://127.0.0.1:0?${pair}`): string =>
  `{ name: a, source: "${source}", sink: "exec:cat"${allow} }`;

/** Nothing of these starts, as a network source and as a local one. */
const REFUSED: readonly (readonly [what: string, identities: string, link: string, says: RegExp])[] = [
  [
    'a token file that is not there',
    'identities: { laptop: { token: "file:none" } }',
    link(', allow: [laptop]'),
    /none: it is not there/,
  ],
  ['an empty token', 'identities: { laptop: { token: "file:empty" } }', link(', allow: [laptop]'), /expected one line/],
  [
    'a token that others can read',
    'identities: { laptop: { token: "file:open" } }',
    link(', allow: [laptop]'),
    /chmod 600 /,
  ],
  [
    'a variable that is not set',
    'identities: { laptop: { token: "env:NONE_AT_ALL" } }',
    link(', allow: [laptop]'),
    /not set/,
  ],
  [
    'a credential without systemd',
    'identities: { laptop: { token: "credential:x" } }',
    link(', allow: [laptop]'),
    /systemd gave no/,
  ],
  [
    'two identities with one token',
    'identities: { a: { token: "file:good" }, b: { token: "file:good" } }',
    link(', allow: [a]'),
    /have the same token/,
  ],
  [
    'an identity without a proof',
    'identities: { laptop: {} }',
    link(', allow: [laptop]'),
    /expected what it proves itself by/,
  ],
  [
    'a proof of an unknown kind',
    'identities: { laptop: { password: x } }',
    link(', allow: [laptop]'),
    /unknown key "password"/,
  ],
  [
    'an identity that is not there',
    'identities: { laptop: { token: "file:good" } }',
    link(', allow: [desk]'),
    /there is no identity "desk"/,
  ],
  [
    'nobody who is allowed',
    'identities: { laptop: { token: "file:good" } }',
    link(', allow: []'),
    /expected at least one name/,
  ],
  [
    'a misspelt allow',
    'identities: { laptop: { token: "file:good" } }',
    link(', alow: [laptop]'),
    /unknown key "alow"/,
  ],
  ['a network source and nobody named', '', link('', `tls://0.0.0.0:0?${pair}`), /reached from the network/],
  [
    'a name where nobody can vouch for it',
    'identities: { laptop: { san: laptop.example } }',
    link(', allow: [laptop]'),
    /"ca" that signs/,
  ],
  [
    'a certificate over what has none',
    'identities: { laptop: { pin: "PIN" } }',
    link(', allow: [laptop]', 'tcp://127.0.0.1:0?session=yes'),
    /only tls and wss/,
  ],
  [
    'a UNIX user over what tells none',
    'identities: { laptop: { uid: 7 } }',
    link(', allow: [laptop]'),
    /only a UNIX socket/,
  ],
  [
    '{identity} for anyone',
    '',
    link(', allow: anyone').replace('exec:cat', 'exec:cat /srv/{identity}'),
    /is another for each identity/,
  ],
];

describe('run and check refuse, with 78,', { concurrency: 2 }, () => {
  for (const [what, identities, entry, says] of REFUSED) {
    it(what, async (t) => {
      const scope = new Scope(t);
      const file = configure(scope, identities.replace('PIN', pinOf(client)), entry);
      const [ran, checked] = await Promise.all([
        sluice(scope, ['run', '-c', file]),
        sluice(scope, ['check', '-c', file]),
      ]);
      assert.match(ran.stderr, says);
      assert.doesNotMatch(ran.stderr, /listening/);
      assert.match(checked.stdout + checked.stderr, says);
      assert.deepEqual([ran.code, checked.code], [78, 78]);
      assert.ok(!`${ran.stderr}${checked.stdout}${checked.stderr}`.includes(TOKEN));
    });
  }
});

it('a listener tells its rule when it starts', async (t) => {
  const scope = new Scope(t);
  const identities = `identities: { laptop: { token: "file:good", pin: "${pinOf(client)}" }, gone: { revoked: "2026-01-01" } }`;
  const file = configure(scope, identities, link(', allow: [laptop, gone]'));
  const { untilStderr } = startSluice(scope, ['run', '-c', file]);
  await untilStderr(/listening .*allow="laptop \(token and pin\), gone \(revoked\)"/);
});

it('check --access tells who can reach what, and who nothing', async (t) => {
  const scope = new Scope(t);
  const identities = `identities: { laptop: { token: "file:good" }, desk: { san: [a.example, b.example] }, gone: { revoked: x } }`;
  const file = configure(
    scope,
    identities,
    `${link(', allow: [laptop]')}\n  - { name: b, source: "unix:./s", sink: "exec:true", services: { sftp: "sftp:/srv" } }`,
  );
  const { stdout, code } = await sluice(scope, ['check', '--access', '-c', file]);
  assert.equal(code, 0);
  assert.match(stdout, /^anyone\n {2}nothing\n/);
  assert.match(stdout, /on this machine\n {2}link b {2}unix:\.\/s\n {4}default → exec:true\n {4}sftp → sftp:\/srv\n/);
  assert.match(stdout, /\nlaptop {2}\(token file:.*good\)\n {2}link a {2}tls:.*\n {4}default → exec:cat\n/);
  assert.match(stdout, /\ndesk {2}\(san a\.example or b\.example\)\n {2}nothing\n/);
  assert.match(stdout, /\ngone {2}\(revoked\)\n {2}nothing\n/);
});

it('check tells the limits that an identity has of its own', async (t) => {
  const scope = new Scope(t);
  const limits = 'limits: { commands-per-identity: 2, streams-per-session: 4 }';
  const identities = `identities: { laptop: { token: "file:good", ${limits} }, desk: { uid: 7, limits: {} } }`;
  const file = configure(scope, identities, link(', allow: [laptop]'));
  const { stdout, code } = await sluice(scope, ['check', '-c', file]);
  assert.match(
    stdout,
    /\n {2}laptop {2}token file:.*good; streams-per-session 4, commands-per-identity 2\n {2}desk {2}uid 7\n/,
  );
  const { stdout: access } = await sluice(scope, ['check', '--access', '-c', file]);
  assert.match(access, /\nlaptop {2}\(token file:.*good; streams-per-session 4, commands-per-identity 2\)\n/);
  assert.equal(code, 0);
});

it('check --access and the log tell who is at the far side of a tunnel, and what it reaches', async (t) => {
  const scope = new Scope(t);
  const file = configure(
    scope,
    `identities: { laptop: { token: "file:good" }, desk: { uid: 7 } }
tunnels: { in: { listen: "unix:./in.sock", allow: [laptop, desk] }, out: { dial: "unix:./none.sock" } }`,
    `{ name: a, source: "tunnel:in/repo", sink: "exec:cat" }
  - { name: b, source: "tunnel:in/shell", sink: "exec:id", allow: [desk] }
  - { name: c, source: "tunnel:out/db", sink: "exec:true" }`,
  );
  const { stdout } = await sluice(scope, ['check', '--access', '-c', file]);
  assert.match(stdout, /on this machine\n {2}nothing\n\nthe far side of tunnel out\n {2}db → exec:true\n/);
  assert.match(stdout, /\nlaptop {2}.*\n {2}tunnel in {2}unix:\.\/in\.sock\n {4}repo → exec:cat\n\n/);
  assert.match(stdout, /\ndesk {2}.*\n {2}tunnel in {2}.*\n {4}repo → exec:cat\n {4}shell → exec:id\n/);
  const { untilStderr } = startSluice(scope, ['run', '-c', file]);
  await untilStderr(/a: listening {2}source=tunnel:in\/repo.* allow="the far side of tunnel in"/);
});
