import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { duplexPair, type Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { dialSession, redialDelay, type DialerOptions } from '../../../core/session/dialer.ts';
import { SessionListener, type ListenerOptions } from '../../../core/session/listener.ts';
import type { SessionStream } from '../../../core/session/stream.ts';
import { RecordedLog } from '../../support/gateway.ts';

/** An in-memory network: each dial makes a pair, whose other end the listener accepts. */
function network(options: Partial<ListenerOptions> = {}) {
  const log = new RecordedLog();
  const opened: SessionStream[] = [];
  const listener = new SessionListener({
    admit: () => ({}),
    detachedLife: 5_000,
    maxDetached: 10,
    onOpen: (_request, { accept }) => opened.push(accept({ exit: false })),
    log: log.asLog(),
    ...options,
  });
  const carriers: Duplex[] = [];
  const state = { isUp: true, dials: 0 };
  const dial: DialerOptions['dial'] = async () => {
    state.dials += 1;
    if (!state.isUp) throw new Error('the network is down');
    const [near, far] = duplexPair();
    carriers.push(near, far);
    far.on('error', () => {});
    listener.accept({ stream: far, peer: { address: 'memory' } }).catch(() => {});
    return { stream: near, peer: { address: 'memory' } };
  };
  const cut = (): void => {
    for (const carrier of carriers.splice(0)) carrier.destroy();
  };
  return { listener, log, opened, state, dial, cut };
}

const signal = new AbortController().signal;

describe('a session whose carrier is lost', () => {
  it('goes on over the next one, and its streams notice nothing', async () => {
    const { dial, cut, opened, log, state } = network();
    const { session } = await dialSession({ dial, detachedLife: 5_000 }, signal);
    const { stream, opened: answered } = session.open({ service: 'default', metadata: {} });
    await answered;
    const far = opened[0] as SessionStream;
    const [sent, received] = [createHash('sha256'), createHash('sha256')];
    let bytes = 0;
    far.on('data', (chunk: Buffer) => {
      received.update(chunk);
      bytes += chunk.length;
    });
    const ended = new Promise((resolve) => far.once('end', resolve));
    for (let round = 0; round < 20; round += 1) {
      const chunk = Buffer.alloc(100_000, round);
      sent.update(chunk);
      stream.write(chunk);
      if (round % 4 === 3) cut();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    stream.end();
    await ended;
    assert.equal(received.digest('hex'), sent.digest('hex'), `${bytes} bytes arrived`);
    assert.ok(state.dials >= 5);
    await log.untilMessage('session resumed');
    session.end(new Error('test over'));
  });

  it('is over on both sides when its time is up, and its streams are reset, not ended', async () => {
    const { dial, cut, opened, state } = network({ detachedLife: 100 });
    const { session, ended } = await dialSession({ dial, detachedLife: 100 }, signal);
    const { stream, opened: answered } = session.open({ service: 'default', metadata: {} });
    await answered;
    const far = opened[0] as SessionStream;
    const broken = [stream, far].map(
      (one) =>
        new Promise<string>((resolve) =>
          one
            .once('error', (error) => resolve(error.message))
            .once('end', () => resolve('ended'))
            .resume(),
        ),
    );
    state.isUp = false;
    cut();
    for (const reason of await Promise.all(broken)) assert.match(reason, /no connection for/);
    assert.match((await ended)?.message ?? '', /no connection for/);
  });

  it('is not begun anew where the far side has forgotten it', async () => {
    const { dial, cut, listener } = network();
    const { ended } = await dialSession({ dial, detachedLife: 5_000 }, signal);
    listener.end(new Error('restarted'));
    cut();
    assert.match((await ended)?.message ?? '', /restarted|unknown session/);
  });
});

const onlyRight: ListenerOptions['admit'] = (token) => (token === 'right' ? {} : undefined);

describe('a session that is not allowed', () => {
  it('is denied at once, and not tried again', async () => {
    const { dial, state } = network({ admit: onlyRight });
    await assert.rejects(dialSession({ dial, token: 'wrong', detachedLife: 5_000 }, signal), { code: 'token' });
    assert.equal(state.dials, 1);
  });

  it('is begun with the right token', async () => {
    const { dial } = network({ admit: onlyRight });
    const { session } = await dialSession({ dial, token: 'right', detachedLife: 5_000 }, signal);
    session.end(new Error('test over'));
  });
});

const longest = (failures: number, outage: number): number => redialDelay(failures, outage, () => 1);

it('redialing waits longer each time, at most 1 s in the first minute and 30 s later', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 9].map((failures) => longest(failures, 0)),
    [0, 250, 500, 1000, 1000, 1000],
  );
  assert.deepEqual(
    [4, 9].map((failures) => longest(failures, 61_000)),
    [2000, 30_000],
  );
});
