/** Addresses that nobody would write: each is read as one thing or refused with 78, soon, and what is secret in it stays so. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatParts, parseAddress, splitAddress, type Address, type Parts } from '../../core/address.ts';
import { SluiceError } from '../../core/errors.ts';
import { Registry } from '../../core/registry.ts';
import { Tunnels } from '../../core/tunnels/tunnels.ts';
import { builtInTransports } from '../../transports/index.ts';
import { hold, isSoak, withoutGrowth } from '../support/fuzz.ts';

const RUNS = isSoak ? 100_000 : 4_000;

const registry = new Registry(builtInTransports({ interrupted: () => false }, new Tunnels()));
const FOLDER = '/here';
const read = (text: string, role: 'source' | 'sink'): Address => parseAddress(text, { registry, role, folder: FOLDER });

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

const GOOD = words(`
  unix:/run/x.sock?mode=0660&group=backup unix:./x unix:~/x unix:/odd%3Fname%25 unix:${'x'.repeat(107)}
  tcp://127.0.0.1:22 tcp://[::1]:22?session=yes tcp://[fe80::1%25eth0]:1 tcp://münchen.example:1 tcp://xn--mnchen-3ya.example:1
  tls://0.0.0.0:1?cert=c.pem&key=k.pem&ca=a.pem tls://h:1?pin=sha256/${'A'.repeat(43)}=&servername=x wss://h/p?query=a=1%26b
  wss://[::]:443/p?cert=self&trusted-proxies=10.0.0.0/8&origin=https%3A//x ws://h:1/p?ping=20s&resume=off&heartbeat=1h
  ws+unix:/run/w.sock:/borg exec:cat shell: sftp:/srv fd:3 systemd: systemd:name stdio: tunnel:office/repo
  tcp://h:1?proxy=socks5://p:1 tcp://h:1?proxy=http://p:1&proxy-auth=file:/x wss://h/p?token=file:/t unix:/x/{identity}`);

const PIECES = words(`
  % %00 %2F %zz %25 %C3 %C3%A4 %E2%80%AE .. ../ ./ // / @ @name : :: :0 :65536 :-1 ? ?? & && = mode=0888 session=maybe
  session=yes [ ] [::] [::1%25lo] -opt --x {identity} {{ \u0000 \u202E \u0000.sock ä 🦊 \uD800 ~ ~root $HOME * \\ ' " 0x7f.1 1e9
  __proto__=1 constructor=1 unix: tcp:// zstd+ javascript: file:///etc/passwd 0.0.0.0 [::ffff:127.0.0.1] ${'x'.repeat(120)}`);

const piece = fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'binary', maxLength: 4 }));

interface Edit {
  readonly at: number;
  readonly length: number;
  readonly put: string;
}

const edit: fc.Arbitrary<Edit> = fc.record({ at: fc.nat(60), length: fc.oneof(fc.constant(0), fc.nat(5)), put: piece });

const change = (text: string, { at, length, put }: Edit): string => {
  const place = at % (text.length + 1);
  return text.slice(0, place) + put + text.slice(place + length);
};

const damaged = fc
  .tuple(fc.constantFrom(...GOOD), fc.array(edit, { maxLength: 3 }))
  .map(([text, edits]) => edits.reduce(change, text));
const role = fc.constantFrom<'source' | 'sink'>('source', 'sink');

/** ms. The limit of `parse` is a tenth of a second; on a busy machine one of many may be slow. */
const PATIENCE = 1_000;

/** Paths that the transport would open. */
const pathsOf = ({ scheme, parsed }: Address): string[] => {
  if (scheme === 'unix') return [(parsed as { path: string }).path];
  if (scheme === 'ws+unix') return [(parsed as { place: { path: string } }).place.path];
  return [];
};

function assertSound(text: string, address: Address): void {
  const parts = splitAddress(text, registry);
  assert.deepEqual(
    splitAddress(formatParts(parts, registry), registry),
    parts,
    'it is another when it is written anew',
  );
  for (const path of pathsOf(address)) {
    assert.ok(path.startsWith('/') && !path.includes('\0') && !path.split('/').includes('..'), JSON.stringify(path));
    assert.ok(Buffer.byteLength(path) <= 107, `${path} is too long`);
  }
}

/** Reads it; returns all that is ever shown of it. */
function show(text: string, of: 'source' | 'sink', tell: (isGood: boolean) => void): string {
  const begun = performance.now();
  try {
    const address = read(text, of);
    tell(true);
    assertSound(text, address);
    return address.text;
  } catch (error) {
    tell(false);
    assert.ok(SluiceError.is(error) && error.code === 'SLUICE_ADDRESS', String((error as Error).stack));
    return error.message;
  } finally {
    assert.ok(performance.now() - begun < PATIENCE);
  }
}

const SECRET = 'c4nary';

/** Where secrets stand that somebody writes into an address, though each has a better place. */
const SECRETS = [
  ...words(`token=${SECRET} proxy-auth=${SECRET} proxy-auth=user:${SECRET} header=Authorization:%20Bearer%20${SECRET}`),
  ...words(
    `query=token=${SECRET} proxy=http://user:${SECRET}@p:1 proxy=socks5://user:${SECRET}@p:1 proxy=http://user%3A${SECRET}%40p:1`,
  ),
];

/** A secret behind anything, and before anything, which may be wrong in any way. */
const withSecret = fc
  .record({
    text: fc.constantFrom(
      ...words('wss://h/p tcp://h:1 tls://h:1?pin=x ws://h:1/p?ping=x wss://h:x/p unix:/x wsss://h:1'),
    ),
    before: fc.array(fc.oneof(fc.constantFrom(...words('session=yes pin=1 x= =x %zz ping ä')), fc.constant('')), {
      maxLength: 2,
    }),
    secret: fc.constantFrom(...SECRETS),
    after: fc.array(piece, { maxLength: 2 }),
  })
  .map(({ text, before, secret, after }) => {
    const [path = '', ...options] = text.split('?');
    return `${path}?${[...options, ...before, secret].join('&')}${after.map((one) => `&${one}`).join('')}`;
  });

const userInfo = fc
  .tuple(
    fc.constantFrom(...words('tcp ws wss tls http')),
    fc.constantFrom('user', '', 'a.b', 'ü', '%40'),
    fc.constantFrom(SECRET, `a/${SECRET}`, `a@${SECRET}`, `${SECRET}@/b`),
    piece,
  )
  .map(([scheme, user, password, after]) => `${scheme}://${user}:${password}@h:1/${after}`);

describe('addresses', () => {
  it(`${RUNS} damaged ones are read or refused, and those that are read say what they are`, async (t) => {
    let good = 0;
    const property = fc.property(
      fc.tuple(damaged, role),
      ([text, of]) => void show(text, of, (isGood) => (good += Number(isGood))),
    );
    await withoutGrowth(
      t,
      async () => fc.assert(property, { numRuns: 1_000 }),
      () => hold(t, property, { runs: RUNS }),
    );
    t.diagnostic(`${good} were read`);
    assert.ok(good > RUNS / 10);
  });

  it(`in ${RUNS / 4} a secret is neither shown nor told`, async (t) => {
    const property = fc.property(fc.tuple(fc.oneof(withSecret, userInfo), role), ([text, of]) =>
      assert.ok(!show(text, of, () => {}).includes(SECRET), text),
    );
    await hold(t, property, { runs: RUNS / 4 });
  });

  it(`${RUNS} come back from their text, whatever their parts hold`, async (t) => {
    const text = fc.string({ unit: 'grapheme' }).filter((one) => !one.includes('\0') && one.isWellFormed());
    const pair = fc.tuple(
      text.filter((key) => key !== ''),
      text,
    );
    const scheme = fc.constantFrom('unix', 'tcp', 'tls', 'ws', 'wss', 'ws+unix', 'fd', 'systemd');
    const pairs = fc.array(pair, { maxLength: 4 });
    const parts: fc.Arbitrary<Parts> = fc.record({ scheme, target: text, pairs }, { noNullPrototype: true });
    const property = fc.property(parts, (one) =>
      assert.deepEqual(splitAddress(formatParts(one, registry), registry), one),
    );
    await hold(t, property, { runs: RUNS });
  });

  it('are refused with a code, whatever text they are', async (t) => {
    const prefix = fc.constantFrom('', ...words('unix: tcp:// wss://h:1 ws+unix: exec: fd: tls://[::1]:1?'));
    const any = fc.tuple(prefix, fc.string({ unit: 'binary' })).map((both) => both.join(''));
    const property = fc.property(fc.tuple(any, role), ([text, of]) => void show(text, of, () => {}));
    await hold(t, property, { runs: RUNS });
  });
});
