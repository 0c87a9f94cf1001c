import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { describe, it } from 'node:test';
import { FRAME, encodeFrame } from '../../../core/session/frames.ts';
import {
  greetAsDialer,
  greetAsListener,
  type DialerGreeting,
  type SessionDirectory,
  type SessionKey,
} from '../../../core/session/handshake.ts';

const WHO = { identity: { name: 'laptop' } };
const KEY: SessionKey = { id: 'a'.repeat(32), secret: Buffer.alloc(32, 7) };

const directory: SessionDirectory = {
  admit: (token) => (token === 'good' ? WHO : undefined),
  secretOf: (id) => (id === KEY.id ? KEY.secret : undefined),
  processedOf: () => 500,
  canResumeFrom: (_id, offset) => offset === 100,
};

/** Both sides of one handshake: how each of them ended. */
async function greet(greeting: DialerGreeting, known: SessionDirectory = directory) {
  const [a, b] = duplexPair();
  const [dialer, listener] = await Promise.allSettled([greetAsDialer(a, greeting), greetAsListener(b, known)]);
  return { dialer, listener, carriers: [a, b] as const };
}

const valueOf = <T>(result: PromiseSettledResult<T>): T => {
  if (result.status === 'rejected') throw result.reason;
  return result.value;
};

const codeOf = (result: PromiseSettledResult<unknown>): unknown =>
  result.status === 'rejected' ? (result.reason as { code?: unknown }).code : 'no error';

describe('a handshake', () => {
  it('gives both sides the same new session', async () => {
    const { dialer, listener } = await greet({ token: 'good' });
    assert.deepEqual(valueOf(dialer).key, valueOf(listener).key);
    assert.equal(valueOf(listener).resumed, false);
  });

  it('with a wrong token, or none, is denied on both sides', async () => {
    for (const token of ['bad', undefined]) {
      const { dialer, listener } = await greet({ token });
      assert.deepEqual([codeOf(dialer), codeOf(listener)], ['token', 'token']);
    }
  });

  it('goes on with an old session where the proof and the offset are right', async () => {
    const { dialer, listener } = await greet({ token: 'good', resume: { key: KEY, processed: 100 } });
    assert.equal(valueOf(dialer).peerProcessed, 500);
    assert.deepEqual([valueOf(listener).peerProcessed, valueOf(listener).resumed], [100, true]);
  });

  it('does not tell a wrong secret from an unknown session', async () => {
    const wrong = await greet({
      token: 'good',
      resume: { key: { ...KEY, secret: Buffer.alloc(32, 8) }, processed: 100 },
    });
    const unknown = await greet({ token: 'good', resume: { key: { ...KEY, id: 'b' }, processed: 100 } });
    assert.deepEqual([codeOf(wrong.dialer), codeOf(unknown.dialer)], ['unknown-session', 'unknown-session']);
  });

  it('refuses an offset that cannot be', async () => {
    assert.equal(codeOf((await greet({ token: 'good', resume: { key: KEY, processed: 101 } })).dialer), 'offset');
  });

  it('is not fooled by a listener that does not know the secret', async () => {
    const impostor = { ...directory, secretOf: () => KEY.secret };
    const stolen = { key: { id: KEY.id, secret: Buffer.alloc(32, 9) }, processed: 100 };
    const { dialer } = await greet({ resume: stolen }, { ...impostor, canResumeFrom: () => true });
    assert.equal(dialer.status, 'rejected');
  });

  it('leaves to the session what came after its last frame', async () => {
    const [a, b] = duplexPair();
    const listening = greetAsListener(b, directory);
    const dialing = greetAsDialer(a, { token: 'good' });
    const after = encodeFrame(FRAME.PING, 0, Buffer.from('x'));
    void listening.then(() => b.write(after));
    const { early } = await dialing;
    const [rest] =
      early.length > 0
        ? [early]
        : await new Promise<[Buffer]>((resolve) => a.once('data', (chunk: Buffer) => resolve([chunk])));
    assert.deepEqual(rest, after);
  });

  const garbage: [name: string, bytes: Buffer][] = [
    ['no frame at all', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a length of two gigabytes', Buffer.from('7fffffff0000000001000000', 'hex')],
    ['a body that is no JSON', encodeFrame(FRAME.HELLO, 0, Buffer.from('{'))],
    ['a body that is no object', encodeFrame(FRAME.HELLO, 0, Buffer.from('null'))],
    ['a frame of a running session', encodeFrame(FRAME.DATA, 1, Buffer.from('{}'))],
    ['a HELLO without a nonce', encodeFrame(FRAME.HELLO, 0, Buffer.from('{"versions":[1]}'))],
  ];
  for (const [name, bytes] of garbage) {
    it(`that begins with ${name} is an error of the protocol`, async () => {
      const [a, b] = duplexPair();
      a.write(bytes);
      await assert.rejects(greetAsListener(b, directory), { name: 'ProtocolError' });
    });
  }

  it('names both versions where they differ', async () => {
    const [a, b] = duplexPair();
    a.write(encodeFrame(FRAME.HELLO, 0, Buffer.from('{"versions":[9],"nonce":"x"}')));
    await assert.rejects(greetAsListener(b, directory), {
      code: 'version',
      message: /\[9\] were offered, and this side speaks 1/,
    });
  });
});
