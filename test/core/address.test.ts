import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { describe, it } from 'node:test';
import { formatParts, parseAddress, splitAddress } from '../../core/address.ts';
import { Registry } from '../../core/registry.ts';
import { Tunnels } from '../../core/tunnels/tunnels.ts';
import { builtInTransports } from '../../transports/index.ts';

const registry = new Registry(builtInTransports({ interrupted: () => false }, new Tunnels()));
const read = (text: string, role: 'source' | 'sink' = 'sink') =>
  parseAddress(text, { registry, role, folder: '/here' });

describe('the parts of an address', () => {
  const table: [text: string, target: string, pairs: [string, string][]][] = [
    ['unix:/run/x.sock', '/run/x.sock', []],
    [
      'unix:/run/x.sock?mode=0660&group=backup',
      '/run/x.sock',
      [
        ['mode', '0660'],
        ['group', 'backup'],
      ],
    ],
    ['unix:/odd%3Fname%25', '/odd?name%', []],
    ['tcp://[::1]:22', '[::1]:22', []],
    [
      'wss://h:1/p?pin=sha256/a+b/c=&pin=d',
      'h:1/p',
      [
        ['pin', 'sha256/a+b/c='],
        ['pin', 'd'],
      ],
    ],
    ['ws+unix:/run/w.sock:/borg', '/run/w.sock:/borg', []],
    ['wss://h:1/p?query=a=1%26b', 'h:1/p', [['query', 'a=1&b']]],
    ['exec:sh -c "echo 100%? a?b&c"', 'sh -c "echo 100%? a?b&c"', []],
    ['stdio:', '', []],
  ];
  for (const [text, target, pairs] of table) {
    it(`reads and writes ${text}`, () => {
      const parts = splitAddress(text, registry);
      assert.deepEqual({ target: parts.target, pairs: parts.pairs }, { target, pairs });
      assert.equal(formatParts(parts, registry), text);
    });
  }
});

describe('an address that cannot be read is told with what was got and what would be right', () => {
  const table: [text: string, role: 'source' | 'sink', message: RegExp][] = [
    ['unixx:/x', 'sink', /unknown scheme "unixx:"; did you mean "unix"\?/],
    ['/run/x.sock', 'sink', /expected SCHEME:/],
    ['unix:', 'sink', /there is no path/],
    ['unix:@name', 'sink', /abstract/],
    [`unix:/${'ä'.repeat(54)}`, 'sink', /109 bytes long and the system takes 107/],
    ['unix:/x?mod=0600', 'source', /unknown option "mod"; did you mean "mode"\?/],
    ['unix:/x?mode=0600', 'sink', /option "mode" belongs to a source/],
    ['unix:/x?mode=0888', 'source', /expected octal such as 0660, got "0888"/],
    ['unix:/x?mode=0600&mode=0660', 'source', /option "mode" is given twice/],
    ['unix:/x?mode', 'source', /expected KEY=VALUE/],
    ['unix:/%zz', 'sink', /write a percent sign as %25/],
    ['unix:/a%00b', 'sink', /NUL/],
    ['tcp://host', 'sink', /expected HOST:PORT/],
    ['tcp:host:1', 'sink', /expected tcp:\/\/HOST:PORT/],
    ['tcp://host:65536', 'sink', /port 65536 is out of range, expected 1 to 65535/],
    ['tcp://host:0', 'sink', /port 0 cannot be dialed/],
    ['tcp://:80', 'source', /to listen everywhere write 0\.0\.0\.0/],
    ['tcp://user@host:1', 'sink', /a user name has no place here/],
    ['tls://0.0.0.0:1', 'source', /a source needs "cert" and "key"/],
    ['tls://h:1?cert=/a', 'sink', /"cert" and "key" go together/],
    ['tls://h:1?pin=abc', 'sink', /expected sha256\/ and 44 characters/],
    ['ws+unix:/x.sock', 'sink', /with a colon between them/],
    ['wss://h:1/a?header=bad', 'sink', /expected "Name: value"/],
    ['exec:', 'sink', /there is no command/],
    ['exec:sh -c "oops', 'sink', /a quote is not closed/],
    ['exec:true', 'source', /"exec" can only be a sink; put it second/],
    ['systemd:x', 'sink', /"systemd" can only be a source; put it first/],
    ['stdio:x', 'sink', /nothing may follow "stdio:"/],
    ['fd:x', 'source', /expected the number of a descriptor/],
    ['ws://h:1/p?ping=5', 'sink', /expected a duration such as 20s or 5m, or "off", got "5"/],
  ];
  for (const [text, role, message] of table) {
    it(`${text.slice(0, 40)} as a ${role}`, () => {
      assert.throws(
        () => read(text, role),
        (error: Error & { exit?: number }) => message.test(error.message) && error.exit === 78,
      );
    });
  }
});

const pathOf = (text: string): string => (read(text).parsed as { path: string }).path;

describe('paths', () => {
  it('are relative to where the address was written', () => {
    assert.equal(pathOf('unix:x/y.sock'), '/here/x/y.sock');
    assert.equal(pathOf('unix:/x/../y.sock'), '/y.sock');
  });

  it('begin at the user’s home after ~/ and nowhere else', () => {
    assert.equal(pathOf('unix:~/x.sock'), `${homedir()}/x.sock`);
    assert.equal(pathOf('unix:~name/x.sock'), '/here/~name/x.sock');
    assert.equal(pathOf('unix:$HOME/x.sock'), '/here/$HOME/x.sock');
  });
});

const wordsOf = (text: string): readonly string[] => (read(text).parsed as { words: readonly string[] }).words;

describe('a command line', () => {
  it('is split as a shell would split it', () => {
    assert.deepEqual(wordsOf(`exec:borg serve --restrict-to-path '/srv/a b' --x="{now}"`), [
      'borg',
      'serve',
      '--restrict-to-path',
      '/srv/a b',
      '--x={now}',
    ]);
  });

  it('is not run by one: variables, globs and operators are plain text', () => {
    assert.deepEqual(wordsOf('exec:echo $HOME *.ts && true'), ['echo', '$HOME', '*.ts', '&&', 'true']);
  });
});

it('the values of secret options are never shown', () => {
  const text = 'wss://h:1/p?header=Authorization:%20Bearer%20s3cret&query=token=s3cret';
  assert.equal(read(text).text, 'wss://h:1/p?header=***&query=***');
  assert.throws(
    () => read(`${text}&ping=x`),
    (error: Error) => !error.message.includes('s3cret'),
  );
});

function placeOf(text: string): unknown {
  const { kind, host, port } = (read(text).parsed as { place: Record<string, unknown> }).place;
  return { kind, host, port };
}

it('a WebSocket to dial has the usual port of its scheme where none is given', () => {
  assert.deepEqual(placeOf('wss://h/p'), { kind: 'tcp', host: 'h', port: 443 });
  assert.deepEqual(placeOf('ws://[::1]/p'), { kind: 'tcp', host: '::1', port: 80 });
  assert.throws(() => read('wss://h/p?cert=self', 'source'), /expected HOST:PORT/);
});

it('a token that somebody writes into an address is not repeated by what refuses it', () => {
  const secret = 'slu_laptop_0123456789abcdef';
  for (const text of [
    `wss://h/x?token=${secret}`,
    `wss://h/x?token=${secret}&pni=1`,
    `wss://h/x?header=A: ${secret}&%`,
  ]) {
    assert.throws(
      () => parseAddress(text, { registry, role: 'sink', folder: '/' }),
      (error: Error) => !error.message.includes(secret),
      text,
    );
  }
});

it('what is secret in the long form of an address is not repeated either', () => {
  const secret = 's3cret-of-laptop';
  const values: Record<string, unknown>[] = [
    { header: secret },
    { header: ['A: b', secret] },
    { query: [secret] },
    { query: { [secret]: 1 } },
    { token: secret },
    { 'proxy-auth': `laptop:${secret}` },
    { proxy: `http://laptop:${secret}@p:1` },
  ];
  for (const extra of values) {
    assert.throws(
      () => parseAddress('wss://h/p', { registry, role: 'sink', folder: '/', extra }),
      (error: Error) => /expected|have no place/.test(error.message) && !error.message.includes(secret),
      JSON.stringify(extra),
    );
  }
});
