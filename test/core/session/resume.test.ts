import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { duplexPair, type Duplex } from 'node:stream';
import { it } from 'node:test';
import { Session } from '../../../core/session/session.ts';
import type { SessionStream } from '../../../core/session/stream.ts';

interface Pair {
  readonly dialer: Session;
  readonly listener: Session;
  /** Both ends of the carrier that is in use. */
  carriers(): readonly [Duplex, Duplex];
  /** A new carrier in the place of the old one. */
  reconnect(): void;
}

const nothing = (): void => {};

function sessionPair(onOpen: (stream: SessionStream) => void): Pair {
  let current: [Duplex, Duplex] = duplexPair();
  const dialer = new Session({
    side: 'dialer',
    onOpen: (_request, { refuse }) => refuse('no'),
    onDetached: nothing,
    onProgress: nothing,
    onEnded: nothing,
  });
  const listener = new Session({
    side: 'listener',
    onOpen: (_request, { accept }) => onOpen(accept({ exit: true })),
    onDetached: nothing,
    onProgress: nothing,
    onEnded: nothing,
  });
  const attach = (): void => {
    const [a, b] = [dialer.processed, listener.processed];
    assert.ok(dialer.canResumeFrom(b) && listener.canResumeFrom(a));
    dialer.attach(current[0], b);
    listener.attach(current[1], a);
  };
  attach();
  return {
    dialer,
    listener,
    carriers: () => current,
    reconnect() {
      for (const carrier of current) carrier.destroy();
      current = duplexPair();
      attach();
    },
  };
}

it('a stream goes through a hundred cuts without a byte lost, doubled or reordered', async () => {
  const { dialer, listener, carriers, reconnect } = sessionPair((stream) => {
    stream.on('data', (chunk) => {
      if (!stream.write(chunk)) stream.pause();
    });
    stream.on('drain', () => stream.resume());
    stream.on('end', () => {
      stream.sendExit({ code: 7 });
      stream.end();
    });
  });
  const { stream } = dialer.open({ service: 'echo', metadata: {} });
  const [sent, received] = [createHash('sha256'), createHash('sha256')];
  let bytes = 0;
  let cuts = 0;
  stream.on('data', (chunk: Buffer) => {
    received.update(chunk);
    bytes += chunk.length;
    if (bytes > cuts * 300_000 && cuts < 100) {
      cuts += 1;
      const [a, b] = carriers();
      (cuts % 2 === 0 ? a : b).destroy();
      setImmediate(reconnect);
    }
  });
  const ended = new Promise((resolve) => stream.once('end', resolve));
  for (let count = 0; count < 1000; count += 1) {
    const chunk = randomBytes(1 + Math.floor(Math.random() * 64_000));
    sent.update(chunk);
    if (!stream.write(chunk)) await new Promise((resolve) => stream.once('drain', resolve));
  }
  stream.end();
  await ended;
  assert.deepEqual(await stream.exit, { code: 7 });
  assert.equal(received.digest('hex'), sent.digest('hex'));
  assert.ok(cuts >= 90, `${cuts} cuts`);
  const over = new Promise<void>((resolve) => setImmediate(resolve));
  dialer.drain();
  await over;
  assert.equal(dialer.streams + listener.streams, 0);
});
