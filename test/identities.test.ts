/** Who is this: by certificate and by UNIX peer, and by several proofs at once. Whoever is nobody never reaches the sink. */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Identities, type Known } from '../core/identities.ts';
import { hashToken } from '../core/token-hash.ts';
import { alternativeNames } from '../transports/client-certificate.ts';
import { certificates, pinOf, type Pair } from './support/certificates.ts';
import { startGateway } from './support/gateway.ts';
import { guard, readThrough } from './support/guarded.ts';
import { run } from './support/programs.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';

assertNothingLeaks();

const made = certificates();
const { ca, server, client, otherName, stranger } = made;
const pair = `cert=${server.cert}&key=${server.key}`;
const own = ({ cert, key }: Pair): string => `&cert=${cert}&key=${key}`;
const laptop = (proofs: Omit<Known, 'identity'>): Identities =>
  new Identities([{ identity: { name: 'laptop' }, ...proofs }]);

const workload = made.issue('workload', 'URI:spiffe://example/laptop');
const two = made.issue('two', 'URI:spiffe://example/laptop,URI:spiffe://example/root');
const upper = made.issue('upper', 'DNS:CLIENT.example');
const wildcard = made.issue('wildcard', 'DNS:*.example');
const TOKEN = 'slu_laptop_0123456789abcdef';

/** What the link's identity is, what the client shows, and whether it may come in. */
type Case = readonly [what: string, proofs: Omit<Known, 'identity'>, shown: Pair | undefined, isIn: boolean];
const CASES: readonly Case[] = [
  ['a name, and its certificate', { san: ['client.example'] }, client, true],
  ['a name in other letters', { san: ['client.example'] }, upper, true],
  ['one of two names', { san: ['old.example', 'client.example'] }, client, true],
  ['a name, and another certificate of the same authority', { san: ['client.example'] }, otherName, false],
  ['a name that only a wildcard covers', { san: ['client.example'] }, wildcard, false],
  ['a name, and no certificate', { san: ['client.example'] }, undefined, false],
  ['a name, and a certificate that nobody signed', { san: ['localhost'] }, stranger, false],
  ['a SPIFFE URI', { spiffe: ['spiffe://example/laptop'] }, workload, true],
  ['another SPIFFE URI', { spiffe: ['spiffe://example/desk'] }, workload, false],
  ['a SPIFFE URI beside a second one', { spiffe: ['spiffe://example/laptop'] }, two, false],
  ['a key', { pin: [pinOf(client)] }, client, true],
  ['a key, and another one', { pin: [pinOf(client)] }, otherName, false],
  ['a name and a key, both right', { san: ['client.example'], pin: [pinOf(client)] }, client, true],
  ['a name and a key, one of them wrong', { san: ['client.example'], pin: [pinOf(otherName)] }, client, false],
];

const PLACES: readonly (readonly [name: string, source: string, dialed: string])[] = [
  ['tls', 'tls://127.0.0.1:0?', ''],
  ['tls without sessions', 'tls://127.0.0.1:0?', '&session=no'],
  ['wss', 'wss://127.0.0.1:0/x?', ''],
];

for (const [name, source, dialed] of PLACES) {
  describe(`over ${name} an identity that has`, () => {
    for (const [what, proofs, shown, isIn] of CASES) {
      it(`${what}: ${isIn ? 'comes in' : 'is nobody'}`, async (t) => {
        const scope = new Scope(t);
        const { address, accepted } = await guard(scope, `${source}${pair}&ca=${ca}`, laptop(proofs));
        const sink = `${address}?ca=${ca}${dialed}${shown === undefined ? '' : own(shown)}`;
        assert.equal(await readThrough(scope, startGateway(scope), sink), isIn ? 'hello' : '');
        assert.equal(accepted(), isIn ? 1 : 0);
      });
    }
  });
}

describe('a source without an authority', () => {
  for (const [name, source] of PLACES) {
    it(`over ${name} knows a certificate that nobody signed by its key, and by nothing else`, async (t) => {
      const scope = new Scope(t);
      const { address, accepted, far } = await guard(scope, `${source}${pair}`, laptop({ pin: [pinOf(stranger)] }));
      const near = startGateway(scope);
      assert.equal(await readThrough(scope, near, `${address}?ca=${ca}${own(client)}`), '');
      assert.equal(await readThrough(scope, near, `${address}?ca=${ca}`), '');
      assert.equal(await readThrough(scope, near, `${address}?ca=${ca}${own(stranger)}`), 'hello');
      assert.equal(accepted(), 1);
      assert.match(JSON.stringify(far.log.lines), /its certificate is nobody’s \(pin sha256/);
    });
  }

  it('is refused for an identity that is known by a name: nobody could vouch for it', async (t) => {
    const scope = new Scope(t);
    const opening = guard(scope, `tls://127.0.0.1:0?${pair}`, laptop({ san: ['client.example'] }));
    await assert.rejects(opening, {
      code: 'SLUICE_ACCESS',
      message: /give tls:.* the "ca" that signs its certificate/,
    });
  });
});

describe('a token and a certificate', () => {
  const both = new Identities([
    { identity: { name: 'laptop' }, san: ['client.example'], hash: hashToken(TOKEN) },
    { identity: { name: 'desk' }, hash: hashToken(`${TOKEN}desk`) },
    { identity: { name: 'phone' }, san: ['other.example'] },
  ]);
  const cases: readonly (readonly [string, Pair, string | undefined, boolean])[] = [
    ['both of one identity are shown', client, TOKEN, true],
    ['only the certificate is shown', client, undefined, false],
    ['only the token is shown', made.issue('anybody', 'DNS:anybody.example'), TOKEN, false],
    ['the token is another’s, who needs no certificate', client, `${TOKEN}desk`, true],
    ['the certificate alone would do, and the token is another’s', otherName, TOKEN, false],
    ['the certificate alone would do, and the token is nobody’s', otherName, `${TOKEN}x`, false],
    ['the certificate alone does', otherName, undefined, true],
  ];
  for (const [name, source] of PLACES.filter(([, , dialed]) => dialed === '')) {
    for (const [what, shown, token, isIn] of cases) {
      it(`over ${name}: where ${what}, ${isIn ? 'they come in' : 'they are nobody'}`, async (t) => {
        const scope = new Scope(t);
        const allow = ['laptop', 'desk', 'phone'];
        const { address, accepted } = await guard(scope, `${source}${pair}&ca=${ca}`, both, { allow });
        const file = join(scope.folder(), 'token');
        writeFileSync(file, token ?? '', { mode: 0o600 });
        const sink = `${address}?ca=${ca}${own(shown)}${token === undefined ? '' : `&token=file:${file}`}`;
        assert.equal(await readThrough(scope, startGateway(scope), sink), isIn ? 'hello' : '');
        assert.equal(accepted(), isIn ? 1 : 0);
      });
    }
  }
});

/** A socket that everybody may connect to, and what a client of that user and group reads. */
async function readAs(scope: Scope, source: string, identities: Identities, uid: number, gid: number) {
  const folder = scope.folder();
  chmodSync(folder, 0o755);
  const { accepted, far } = await guard(scope, source.replace('FOLDER', folder), identities);
  const as = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  const { stdout } = await run(scope, 'setpriv', [...as, 'socat', '-', `UNIX-CONNECT:${folder}/s`]);
  return { got: stdout.toString(), accepted: accepted(), said: JSON.stringify(far.log.lines) };
}

describe('a UNIX peer', { skip: process.getuid?.() !== 0 && 'only root can be somebody else' }, () => {
  const NOBODY = 65_534;
  const source = 'unix:FOLDER/s?mode=0666';
  const cases: readonly (readonly [string, Omit<Known, 'identity'>, number, number, boolean])[] = [
    ['of the right user', { uid: NOBODY }, NOBODY, NOBODY, true],
    ['of another user', { uid: 1 }, NOBODY, NOBODY, false],
    ['of root, who is nobody special', { uid: NOBODY }, 0, 0, false],
    ['of the right group', { gid: 7 }, NOBODY, 7, true],
    ['of another group', { gid: 8 }, NOBODY, 7, false],
    ['of the right user and the wrong group', { uid: NOBODY, gid: 8 }, NOBODY, 7, false],
  ];
  for (const [what, proofs, uid, gid, isIn] of cases) {
    it(`${what} ${isIn ? 'comes in' : 'is refused'}`, async (t) => {
      const { got, accepted, said } = await readAs(new Scope(t), source, laptop(proofs), uid, gid);
      assert.deepEqual([got, accepted], isIn ? ['hello', 1] : ['', 0]);
      if (!isIn) assert.match(said, new RegExp(`user ${uid}, group ${gid} is nobody`));
    });
  }

  it('who fits two identities is nobody: neither could be told from the other', async (t) => {
    const both = new Identities([
      { identity: { name: 'laptop' }, uid: NOBODY },
      { identity: { name: 'desk' }, gid: 7 },
    ]);
    assert.equal((await readAs(new Scope(t), source, both, NOBODY, 7)).accepted, 0);
    assert.equal((await readAs(new Scope(t), source, both, NOBODY, 8)).accepted, 1);
  });
});

describe('the names of a certificate', () => {
  it('are taken from a text that cannot be mistaken', () => {
    assert.deepEqual(alternativeNames('DNS:a.example, URI:spiffe://x/y, IP Address:127.0.0.1, DNS:b', 'DNS'), [
      'a.example',
      'b',
    ]);
    assert.deepEqual(alternativeNames('URI:"spiffe://x/y, DNS:root.example", DNS:a', 'DNS'), ['a']);
  });
  it('are none where the text is not understood to its end', () => {
    for (const text of ['DNS:a, ', 'DNS:a,DNS:b', 'DNS:a" DNS:b', 'what:DNS:a', 'DNS:a, NEW:x'])
      assert.deepEqual(alternativeNames(text, 'DNS'), [], text);
  });
});

describe('an identity', () => {
  it('that was revoked is nobody, whatever is shown', () => {
    const none = laptop({});
    assert.equal(none.identify({}), undefined);
    assert.equal(none.identify({ token: TOKEN, unix: { uid: 0, gid: 0 } }), undefined);
    assert.deepEqual(none.proofsOf('laptop'), []);
  });

  it('is an object that nobody can change, and that is looked at anew when the known ones change', () => {
    const shown = laptop({ hash: hashToken(TOKEN) }).identify({ token: TOKEN });
    assert.ok(shown);
    assert.throws(() => Object.assign(shown, { name: 'root' }), TypeError);
    assert.equal(laptop({ hash: hashToken(TOKEN) }).isStill(shown), true);
    assert.equal(laptop({ hash: hashToken(`${TOKEN}2`) }).isStill(shown), false);
    assert.equal(new Identities().isStill(shown), false);
  });
});
