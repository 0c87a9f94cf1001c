/** `{identity}` in a sink: where it may stand, what it becomes, and who gets what. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseAddress } from '../../core/address.ts';
import { Identities } from '../../core/identities.ts';
import { fillIn } from '../../core/personal.ts';
import { Registry } from '../../core/registry.ts';
import { hashToken } from '../../core/token-hash.ts';
import { Tunnels } from '../../core/tunnels/tunnels.ts';
import { builtInTransports } from '../../transports/index.ts';
import { startGateway } from '../support/gateway.ts';
import { readThrough } from '../support/guarded.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const registry = new Registry(builtInTransports({ interrupted: () => false }, new Tunnels()));
const sink = (text: string, words?: readonly string[]) =>
  parseAddress(text, { registry, role: 'sink', folder: '/base', ...(words && { words }) });

describe('{identity} becomes a name', () => {
  const good: readonly (readonly [text: string, key: string, value: unknown])[] = [
    [
      'exec:borg serve --restrict-to-path /srv/{identity}/repo',
      'words',
      ['borg', 'serve', '--restrict-to-path', '/srv/laptop/repo'],
    ],
    [
      'exec:borg serve --restrict-to-path=/srv/{identity}',
      'words',
      ['borg', 'serve', '--restrict-to-path=/srv/laptop'],
    ],
    ['exec:sh -c "echo {now} x{identity}"', 'words', ['sh', '-c', 'echo {now} xlaptop']],
    ['unix:/run/{identity}/{identity}.sock', 'path', '/run/laptop/laptop.sock'],
    ['unix:./{identity}', 'path', '/base/laptop'],
    ['sftp:/srv/{identity}', 'root', '/srv/laptop'],
    ['sftp:/srv?start=/srv/{identity}', 'start', '/srv/laptop'],
  ];
  for (const [text, key, value] of good) {
    it(`in ${text}`, () => {
      const own = sink(text).forIdentity?.('laptop');
      assert.ok(own);
      assert.deepEqual((own.parsed as Record<string, unknown>)[key], value);
      assert.equal(own.forIdentity, undefined);
    });
  }

  it('and other braces are left alone', () => assert.equal(sink('exec:echo {now} {Identity}').forIdentity, undefined));

  it('that keeps the number of arguments, whatever name it is', () => {
    const name = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,62}$/).filter((text) => !text.includes('..'));
    const address = sink('exec:borg serve /srv/{identity} --x={identity}');
    fc.assert(
      fc.property(name, (one) => {
        const parsed = address.forIdentity?.(one).parsed;
        assert.deepEqual((parsed as { words?: unknown } | undefined)?.words, [
          'borg',
          'serve',
          `/srv/${one}`,
          `--x=${one}`,
        ]);
      }),
    );
  });

  it('and never a text that is no name of a configuration', () => {
    for (const name of ['', '..', 'a/b', 'a..b', '-x', 'A', 'a b', 'a\0', '.a', `a${'b'.repeat(63)}`])
      assert.throws(() => fillIn('/srv/{identity}', name), /is no name of an identity/, name);
  });
});

describe('{identity} has no place', () => {
  const bad: readonly (readonly [text: string, message: RegExp, words?: readonly string[]])[] = [
    ['exec:{identity} x', /name of the program/],
    ['exec:/srv/{identity}/run', /name of the program/],
    ['exec:borg {identity}', /at the start of an argument/],
    ['exec:borg "{identity}/x"', /at the start of an argument/],
    ["exec:borg ''{identity}", /at the start of an argument/],
    ['exec:borg \\{identity}', /at the start of an argument/],
    ['exec:borg', /at the start of an argument/, ['borg', '{identity}']],
    ['unix:{identity}', /at the start of the target; write \.\/\{identity\}/],
    ['sftp:/srv?start={identity}', /at the start of the start/],
    ['tcp://{identity}.example:80', /may not stand in the target of tcp; nowhere/],
    ['wss://h/x?header=X: {identity}', /may not stand in the header of wss/],
    ['exec:borg', /may not stand in the user of exec; only in target, cwd, env/],
  ];
  for (const [text, message, words] of bad) {
    it(`in ${words?.join(' ') ?? text}: ${message.source}`, () => {
      const extra = message.source.includes('user of exec') ? { user: 'x{identity}' } : {};
      assert.throws(() => parseAddress(text, { registry, role: 'sink', folder: '/', extra, ...(words && { words }) }), {
        code: 'SLUICE_ADDRESS',
        message,
      });
    });
  }

  it('in a source', () => {
    assert.throws(() => parseAddress('unix:/run/{identity}', { registry, role: 'source', folder: '/' }), {
      code: 'SLUICE_ADDRESS',
      message: /is for sinks/,
    });
  });

  it('where anyone, or nobody in particular, may connect', async (t) => {
    for (const allow of [['anyone'], []]) {
      const far = startGateway(new Scope(t));
      await assert.rejects(far.open('tcp://127.0.0.1:0?session=yes', 'exec:cat /srv/{identity}', { allow }), {
        code: 'SLUICE_ACCESS',
        message: /is another for each identity, and the link does not say who may use it/,
      });
    }
  });
});

it('one link serves a fleet, each from a file of its own, and the command knows who asked', async (t) => {
  const scope = new Scope(t);
  const files = scope.folder();
  const tokens = { laptop: 'slu_laptop_0123456789abcdef', desk: 'slu_desk_0123456789abcdef' };
  for (const name of ['laptop', 'desk']) {
    mkdirSync(join(files, name));
    writeFileSync(join(files, name, 'greeting'), `of ${name}`);
    writeFileSync(join(files, `${name}.token`), tokens[name as keyof typeof tokens], { mode: 0o600 });
  }
  const far = startGateway(scope);
  far.gateway.know(
    new Identities(Object.entries(tokens).map(([name, token]) => ({ identity: { name }, hash: hashToken(token) }))),
  );
  const command = `exec:sh -c "cat '${files}/{identity}/greeting'; printf ' %s %s' $SLUICE_IDENTITY $SLUICE_LINK"`;
  const { listener } = await far.open('tcp://127.0.0.1:0?session=yes', command, { allow: ['laptop', 'desk'] });
  const near = startGateway(scope);
  for (const name of ['laptop', 'desk']) {
    const address = `${listener.address}?session=yes&token=file:${files}/${name}.token`;
    assert.equal(await readThrough(scope, near, address), `of ${name} ${name} test`);
  }
});
