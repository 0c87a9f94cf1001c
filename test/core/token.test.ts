import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Identities } from '../../core/identities.ts';
import { hashToken, readTokenHash } from '../../core/token-hash.ts';
import { parseTokenReference, readToken } from '../../core/token.ts';
import { Scope } from '../support/scope.ts';

const TOKEN = 'slu_laptop_0123456789abcdef';
const resolvePath = (path: string): string => join('/base', path);

function tokenFile(scope: Scope, text: string, mode = 0o600): string {
  const path = join(scope.folder(), 'token');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

describe('where a token is', () => {
  it('is a file, a variable or a credential', () => {
    assert.deepEqual(parseTokenReference('file:a/b', resolvePath), { kind: 'file', name: '/base/a/b' });
    assert.deepEqual(parseTokenReference('env:X', resolvePath), { kind: 'env', name: 'X' });
    assert.deepEqual(parseTokenReference('credential:x', resolvePath), { kind: 'credential', name: 'x' });
  });

  it('is never the token itself, nor a path for a credential; and what was given is not repeated', () => {
    for (const text of [TOKEN, `literal:${TOKEN}`, 'file:', `credential:../${TOKEN}`]) {
      assert.throws(
        () => parseTokenReference(text, resolvePath),
        (error: Error) => /expected/.test(error.message) && !error.message.includes(TOKEN),
        text,
      );
    }
  });
});

describe('a token file', () => {
  it('is one line, with or without its end', async (t) => {
    for (const text of [TOKEN, `${TOKEN}\n`, `${TOKEN}\r\n`])
      assert.equal(await readToken({ kind: 'file', name: tokenFile(new Scope(t), text) }), TOKEN);
  });

  it('that is empty, short, long or of two lines is refused, and its text is not shown', async (t) => {
    for (const text of ['', '\n', 'short', 'x'.repeat(257), `${TOKEN}\n${TOKEN}\n`, `${TOKEN} `]) {
      const name = tokenFile(new Scope(t), text);
      await assert.rejects(readToken({ kind: 'file', name }), (error: Error & { code: string }) => {
        assert.equal(error.code, 'SLUICE_TOKEN');
        assert.ok(!error.message.includes(TOKEN));
        return true;
      });
    }
  });

  it('that others can read or write, or the group can write, is refused with the remedy', async (t) => {
    for (const [mode, remedy] of [
      [0o604, /chmod 600/],
      [0o602, /chmod go-w/],
      [0o620, /chmod go-w/],
    ] as const) {
      const name = tokenFile(new Scope(t), TOKEN, mode);
      await assert.rejects(readToken({ kind: 'file', name }), { code: 'SLUICE_TOKEN', message: remedy });
    }
    assert.equal(await readToken({ kind: 'file', name: tokenFile(new Scope(t), TOKEN, 0o640) }), TOKEN);
  });

  it('of a server may hold the hash alone, which nobody can show as a token', async (t) => {
    const name = tokenFile(new Scope(t), `sha256:${hashToken(TOKEN).toString('hex')}\n`);
    assert.deepEqual(await readTokenHash({ kind: 'file', name }), hashToken(TOKEN));
    const known = new Identities([{ identity: { name: 'laptop' }, hash: hashToken(TOKEN) }]);
    assert.equal(known.identify({ token: `sha256:${hashToken(TOKEN).toString('hex')}` }), undefined);
  });
});

describe('an identity', () => {
  const known = new Identities([
    { identity: { name: 'laptop' }, hash: hashToken(TOKEN) },
    { identity: { name: 'desk' }, hash: hashToken(`${TOKEN}2`) },
  ]);

  it('is the one whose token is shown', () => {
    assert.equal(known.identify({ token: TOKEN })?.name, 'laptop');
    assert.equal(known.identify({ token: `${TOKEN}2` })?.name, 'desk');
  });

  it('is nobody for another token, for none, and where nobody is known', () => {
    assert.equal(known.identify({}), undefined);
    for (const token of ['', 'x', TOKEN.toUpperCase(), `${TOKEN}3`]) assert.equal(known.identify({ token }), undefined);
    assert.equal(new Identities().identify({ token: '' }), undefined);
  });
});
