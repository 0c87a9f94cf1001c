/**
 * Who knows something of a session, but not all: each attempt is refused, and the session that it was aimed at finishes
 * its transfer on its old carrier, untouched.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Duplex, duplexPair } from 'node:stream';
import { describe, it } from 'node:test';
import { FrameReader } from '../../../core/session/frame-reader.ts';
import { FRAME, encodeFrame, u64, type FrameType } from '../../../core/session/frames.ts';
import { greetAsDialer, type DialerGreeting, type SessionKey } from '../../../core/session/handshake.ts';
import { SessionListener } from '../../../core/session/listener.ts';
import { Session } from '../../../core/session/session.ts';
import type { SessionStream } from '../../../core/session/stream.ts';
import { RecordedLog } from '../../support/gateway.ts';
import { assertNothingLeaks } from '../../support/scope.ts';

assertNothingLeaks();

const DEADLINES = { message: 200, whole: 400 };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Alice's session in mid-transfer, and the listener that holds its other end. */
async function victim() {
  let far: SessionStream | undefined;
  const refusals: string[] = [];
  const listener = new SessionListener({
    admit: (token) => (token === 'alice' || token === 'bob' ? { identity: { name: token } } : undefined),
    detachedLife: 2_000,
    maxDetached: 10,
    onOpen: (_request, { accept }) => (far = accept({ exit: false })),
    log: new RecordedLog().asLog(),
    handshake: DEADLINES,
  });
  /** A new carrier to the listener. */
  const connect = (): Duplex => {
    const [near, there] = duplexPair();
    near.on('error', () => {});
    listener
      .accept({ stream: there, peer: { address: 'memory' } })
      .catch((error: Error) => refusals.push(error.message));
    return near;
  };
  let detached = 0;
  const session = new Session({
    side: 'dialer',
    onOpen: (_request, { refuse }) => refuse('no'),
    onProgress: () => {},
    onDetached: () => (detached += 1),
    onEnded: () => {},
  });
  const carrier = connect();
  const { key, early } = await greetAsDialer(carrier, { token: 'alice' });
  session.attach(carrier, 0, early);
  const { stream, opened } = session.open({ service: 'default', metadata: {} });
  await opened;
  const [sent, got] = [createHash('sha256'), createHash('sha256')];
  far?.on('data', (chunk: Buffer) => got.update(chunk));
  const send = async (): Promise<void> => {
    const chunk = randomBytes(100_000);
    sent.update(chunk);
    stream.write(chunk);
    await turn();
  };
  await send();
  /** The rest of the transfer; throws if anything of it was harmed. */
  const finish = async (): Promise<void> => {
    await send();
    assert.equal(detached, 0, 'the carrier of the victim was replaced');
    const ended = once(far as SessionStream, 'end');
    stream.end();
    await ended;
    assert.equal(got.digest('hex'), sent.digest('hex'));
    session.end(new Error('the test is over'));
    listener.end(new Error('the test is over'));
    await session.closed;
  };
  return { listener, connect, key, session, refusals, send, finish };
}

const secret = randomBytes(32);

describe('a resume is refused, and the session it names goes on, where the attacker', () => {
  const attempts: [name: string, code: string, greeting: (key: SessionKey, processed: number) => DialerGreeting][] = [
    [
      'has the id and no secret',
      'unknown-session',
      ({ id }, processed) => ({ token: 'alice', resume: { key: { id, secret }, processed } }),
    ],
    [
      'has an id that was never given',
      'unknown-session',
      (key, processed) => ({ token: 'alice', resume: { key: { ...key, id: 'f'.repeat(32) }, processed } }),
    ],
    [
      'is somebody else with the right secret',
      'unknown-session',
      (key, processed) => ({ token: 'bob', resume: { key, processed } }),
    ],
    ['shows no token', 'token', (key, processed) => ({ resume: { key, processed } })],
    [
      'is ahead of what was sent',
      'offset',
      (key, processed) => ({ token: 'alice', resume: { key, processed: processed + 100_000 } }),
    ],
    ['is behind what was acknowledged', 'offset', (key) => ({ token: 'alice', resume: { key, processed: 1 } })],
    [
      'is at the largest number',
      'offset',
      (key) => ({ token: 'alice', resume: { key, processed: Number.MAX_SAFE_INTEGER } }),
    ],
  ];
  for (const [name, code, greeting] of attempts) {
    it(name, async () => {
      const { connect, key, session, finish } = await victim();
      const carrier = connect();
      await assert.rejects(greetAsDialer(carrier, greeting(key, session.processed), DEADLINES), { code });
      carrier.destroy();
      await finish();
    });
  }

  it('repeats a proof that was seen before', async () => {
    const { connect, key, session, refusals, finish } = await victim();
    const seen: Buffer[] = [];
    const first = connect();
    const write = first.write.bind(first);
    first.write = (chunk: Buffer) => seen.push(chunk) > 0 && write(chunk);
    // The victim's own attempt, with an offset that is refused: its proof is right.
    await assert.rejects(greetAsDialer(first, { token: 'alice', resume: { key, processed: 1 } }), { code: 'offset' });
    const replay = connect();
    replay.resume();
    const ended = once(replay, 'end');
    for (const chunk of seen) {
      replay.write(chunk);
      await turn();
    }
    await ended;
    replay.destroy();
    assert.equal(refusals.at(-1), 'unknown session');
    assert.ok(session.isAttached);
    await finish();
  });
});

/** What goes on in the place of a frame, by its number. */
type Change = (frame: Buffer[], at: number) => Buffer[];

/** Passes frames of the handshake on from one end to the other, changed. */
function tamper(from: Duplex, to: Duplex, change: Change): void {
  const reader = new FrameReader();
  let count = 0;
  from.on('data', (chunk: Buffer) => {
    reader.feed(chunk);
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      for (const one of change([encodeFrame(frame.type as FrameType, 0, frame.payload)], count)) to.write(one);
      count += 1;
    }
  });
  from.once('end', () => to.end());
}

const pass: Change = (frame) => frame;

describe('whoever drops, doubles or reorders the first frames', () => {
  const changes: [name: string, change: Change][] = [
    ['drops the first', (frames, at) => (at === 0 ? [] : frames)],
    ['doubles each', (frames) => [...frames, ...frames]],
    ['inserts one', (frames) => [encodeFrame(7, 0, Buffer.alloc(8)), ...frames]],
  ];
  for (const [name, change] of changes) {
    for (const toward of ['listener', 'dialer'] as const) {
      it(`${name} toward the ${toward} gets nothing, and the session goes on`, async () => {
        const { connect, key, session, finish } = await victim();
        const [near, middle] = duplexPair();
        near.on('error', () => {});
        middle.on('error', () => {});
        const far = connect();
        tamper(middle, far, toward === 'listener' ? change : pass);
        tamper(far, middle, toward === 'dialer' ? change : pass);
        const resume = { key, processed: session.processed + 1 }; // were it to get through, it would still be refused
        await assert.rejects(greetAsDialer(near, { token: 'alice', resume }, DEADLINES));
        near.destroy();
        far.destroy();
        await finish();
      });
    }
  }
});

describe('a far side that is slow on purpose', () => {
  it('is let go at the deadline, whatever bytes arrive', async () => {
    const { connect, refusals, finish } = await victim();
    const carrier = connect();
    carrier.resume();
    const hello = encodeFrame(1, 0, Buffer.from('{"versions":[1],"nonce":"x"}'));
    const since = performance.now();
    let sent = 0;
    const drip = setInterval(() => carrier.writable && carrier.write(hello.subarray(sent, (sent += 1))), 20);
    await once(carrier, 'end');
    const took = performance.now() - since;
    clearInterval(drip);
    carrier.destroy();
    assert.ok(took < 900, `${took} ms`); // all of it would have come after more than a second
    assert.match(refusals.at(-1) ?? '', /no answer to the handshake within 0.2 s|the bytes 000000/);
    await finish();
  });

  it('that answers each message just in time is let go at the deadline of the whole', async () => {
    const { connect, refusals, finish } = await victim();
    const carrier = connect();
    carrier.resume();
    await new Promise((resolve) => setTimeout(resolve, 150));
    carrier.write(encodeFrame(1, 0, Buffer.from('{"versions":[1],"nonce":"x"}')));
    const since = performance.now();
    await once(carrier, 'end');
    assert.ok(performance.now() - since < 300);
    carrier.destroy();
    assert.match(refusals.at(-1) ?? '', /the handshake|no answer/);
    await finish();
  });
});

describe('a plain peer', () => {
  it('at the door of a session is told what it is', async () => {
    const { connect, refusals, finish } = await victim();
    const carrier = connect();
    let said = '';
    carrier.on('data', (chunk: Buffer) => (said += chunk.toString()));
    carrier.write('GET / HTTP/1.1\r\n\r\n');
    await once(carrier, 'end');
    carrier.destroy();
    assert.equal(said, 'this address speaks the sluice session; dial it with a sluice, session=yes\n');
    assert.match(refusals.at(-1) ?? '', /does not speak the session: it said "GET \/ HTTP\/1.1"/);
    await finish();
  });

  const answers: [says: string | Buffer | undefined, told: RegExp][] = [
    ['SSH-2.0-OpenSSH_9.2\r\n', /^the far side does not speak the session: it said "SSH-2.0-OpenSSH_9.2"$/],
    ['220 ok', /it said "220 ok"$/],
    [Buffer.from('1603010005', 'hex'), /it said the bytes 1603010005/],
    ['\u001B[31mred', /it said the bytes 1b5b33316d726564/],
    ['x'.repeat(200), /it said "x{59}…"$/],
    [undefined, /it said nothing: it closed during the handshake$/],
  ];
  for (const [says, told] of answers) {
    it(`that was dialed and says ${JSON.stringify(says)?.slice(0, 30) ?? 'nothing'} is named for what it is`, async () => {
      const [near, far] = duplexPair();
      far.resume();
      if (says === undefined) far.end();
      else far.write(says);
      await assert.rejects(greetAsDialer(near, {}, DEADLINES), { message: told });
      near.destroy();
    });
  }
});

/** A carrier that takes one large chunk and does not get rid of it, as a socket whose peer does not read. */
class Stuck extends Duplex {
  readonly releasesChunks = true;
  stuck: Buffer | undefined;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (chunk.length < 1_000) done();
    else this.stuck = chunk;
  }
}

it('who acknowledges what has not been sent yet gets nothing of another session in its place', async () => {
  const quiet = { onOpen: () => {}, onProgress: () => {}, onDetached: () => {}, onEnded: () => {} };
  const [attacked, other] = [new Session({ side: 'dialer', ...quiet }), new Session({ side: 'dialer', ...quiet })];
  const carrier = new Stuck();
  attacked.attach(carrier, 0);
  const { stream } = attacked.open({ service: 'default', metadata: {} });
  stream.write(Buffer.alloc(256 * 1024, 'a'));
  await turn();
  carrier.push(encodeFrame(FRAME.ACK, 0, u64(attacked.unacknowledged)));
  await turn();
  assert.equal(attacked.unacknowledged, 0);
  const [near, far] = duplexPair();
  other.attach(near, 0);
  far.resume();
  other.open({ service: 'default', metadata: {} }).stream.write(Buffer.alloc(512 * 1024, 'b'));
  await turn();
  assert.equal(carrier.stuck?.subarray(12).includes('b'), false);
  for (const session of [attacked, other]) session.end(new Error('the test is over'));
  carrier.destroy();
  far.destroy();
  await other.closed;
});
