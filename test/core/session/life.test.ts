/** What a session does in time: deadlines, heartbeats, redialing, waiting for a carrier, and its end. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { duplexPair } from 'node:stream';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { tooMany } from '../../../core/session/detached.ts';
import type { OpenAnswer, Session } from '../../../core/session/session.ts';
import type { SessionStream } from '../../../core/session/stream.ts';
import { Scope, assertNothingLeaks } from '../../support/scope.ts';
import { network, type Network } from '../../support/session-network.ts';

assertNothingLeaks();

type Test = ConstructorParameters<typeof Scope>[0];
type Networked = Parameters<typeof network>;
const OVER = new Error('the test is over');
const request = { service: 'default', metadata: {} };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A network whose sessions end with the test. */
function stage(t: Test, ...args: Networked): Network {
  const net = network(...args);
  new Scope(t).defer(() => net.listener.end(OVER));
  return net;
}

async function start(t: Test, net: Network, options: Parameters<Network['session']>[0] = {}) {
  const dialed = await net.session(options);
  new Scope(t).defer(() => dialed.session.end(OVER));
  const [far] = net.listener.sessions();
  return { ...dialed, far: far as Session };
}

/** How a stream closed: the message of its error, or nothing. */
async function closing(stream: SessionStream): Promise<string | undefined> {
  stream.resume();
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
  return stream.errored?.message;
}

const detached = (since: number, held: number): { since: number; held: number } => ({ since, held });

describe('an OPEN that is never answered', () => {
  it('is reset on both sides at its deadline', async (t) => {
    const answers: OpenAnswer[] = [];
    const net = stage(t, { onOpen: (_request, answer) => answers.push(answer) });
    const { session } = await start(t, net, { openDeadline: 50 });
    const { stream, opened } = session.open(request);
    await assert.rejects(opened, /did not answer within 0.05 s/);
    assert.match((await closing(stream)) ?? '', /did not answer within 0.05 s/);
    assert.match((await closing((answers[0] as OpenAnswer).stream)) ?? '', /did not answer/);
    assert.equal(session.streams, 0);
  });

  it('is not late while there is no carrier to answer on', async (t) => {
    const answers: OpenAnswer[] = [];
    const net = stage(t, { onOpen: (_request, answer) => answers.push(answer) });
    const { session } = await start(t, net, { openDeadline: 100 });
    net.isUp = false;
    net.cut();
    const { opened } = session.open(request);
    await sleep(200);
    net.isUp = true;
    while (answers.length === 0) await sleep(5);
    answers[0]?.accept({ exit: false });
    assert.deepEqual(await opened, { exit: false });
  });
});

describe('a heartbeat', () => {
  const heartbeat = { ask: 30, dead: 90 };

  it('keeps a silent session, and measures its round trip', async (t) => {
    const net = stage(t, { heartbeat }, () => ({ delay: 5 }));
    const { session, far } = await start(t, net, { heartbeat });
    await sleep(300);
    assert.equal(net.wires.length, 1, 'the carrier was lost');
    for (const one of [session, far]) assert.ok((one.roundTrip ?? 0) >= 9, `${one.roundTrip} ms`);
  });

  it('finds a peer that says nothing any more', async (t) => {
    const net = stage(t, { heartbeat });
    const lost: string[] = [];
    const watcher = { lost: ({ message }: Error) => lost.push(message), resumed: () => {} };
    await start(t, net, { heartbeat, watcher });
    await sleep(10); // the first PING is answered
    net.wires[0]?.blackhole();
    // whichever side looks first: the other one sees its carrier replaced
    const { fields } = await net.log.until(({ message }) => /^session (?:lost its connection|resumed)$/.test(message));
    assert.match(`${lost.join()} ${String(fields['reason'])}`, /no sign of life for 0.09 s/);
  });

  it('finds a peer that is gone while the carrier stays open, and goes on over another', async (t) => {
    const net = stage(t, { heartbeat });
    const lost: string[] = [];
    const watcher = { lost: ({ message }: Error) => lost.push(message), resumed: () => {} };
    const { session } = await start(t, net, { heartbeat, watcher });
    net.wires[0]?.blackhole();
    session.open(request).stream.end('is anybody there?');
    const since = performance.now();
    while (net.opened.length === 0) await sleep(5);
    assert.ok(performance.now() - since < 400);
    assert.match(lost[0] ?? '', /no sign of life for 0.09 s|nothing was acknowledged for 0.09 s|cut/);
  });
});

it('a session goes on over a new carrier while the far side still believes in the old one', async (t) => {
  const net = stage(t);
  const { session, far } = await start(t, net, { heartbeat: { ask: 20, dead: 60 } });
  const { stream, opened } = session.open(request);
  await opened;
  const [there] = net.opened as [SessionStream];
  net.wires[0]?.blackhole();
  stream.write('lost on the way, ');
  assert.ok(far.isAttached);
  let said = '';
  there.on('data', (chunk: Buffer) => (said += chunk.toString()));
  stream.end('and sent again');
  await once(there, 'end');
  assert.equal(said, 'lost on the way, and sent again');
  assert.equal(net.listener.size, 1);
  assert.equal(net.wires.length, 2);
  assert.ok(!net.log.lines.some(({ message }) => message === 'session lost its connection'));
});

describe('redialing', () => {
  it('slows down while carriers resume and die at once', async (t) => {
    const net = stage(t, {}, (dial) => (dial === 0 ? {} : { cutAfterMs: 1 }));
    await start(t, net);
    await turn();
    net.cut();
    await sleep(600);
    assert.ok(net.wires.length >= 2 && net.wires.length < 20, `${net.wires.length} dials`);
  });

  it('ends with the time that the session may be without a carrier, also while a dial hangs', async (t) => {
    const net = stage(t, { detachedLife: 50 });
    const carriers: (() => void)[] = [];
    const [late] = duplexPair();
    let dials = 0;
    const dial: Network['dial'] = (signal) => {
      dials += 1;
      if (dials === 1) return net.dial(signal);
      return new Promise((resolve) => carriers.push(() => resolve({ stream: late, peer: { address: 'late' } })));
    };
    const { ended } = await start(t, net, { dial, detachedLife: 100 });
    net.cut();
    const since = performance.now();
    assert.match((await ended)?.message ?? '', /no connection for 0 s/);
    assert.ok(performance.now() - since < 300);
    carriers[0]?.();
    await once(late, 'close');
  });

  it('goes on where something else answers for a while', async (t) => {
    const net = stage(t);
    let dials = 0;
    const dial: Network['dial'] = async (signal) => {
      dials += 1;
      if (dials !== 2) return net.dial(signal);
      const [near, far] = duplexPair();
      far.end('HTTP/1.1 503 Service Unavailable\r\n\r\n');
      far.resume();
      return { stream: near, peer: { address: 'proxy' } };
    };
    const resumed = new EventEmitter();
    const watcher = { lost: () => {}, resumed: () => resumed.emit('resumed') };
    await start(t, net, { dial, watcher });
    net.cut();
    await once(resumed, 'resumed');
    assert.equal(dials, 3);
  });
});

describe('a session without a carrier', () => {
  it('keeps what it still has to say about an exit, also when its stream is closed meanwhile', async (t) => {
    const net = stage(t, { onOpen: (_request, { accept }) => net.opened.push(accept({ exit: true })) });
    const { session } = await start(t, net);
    const { stream, opened } = session.open(request);
    await opened;
    const [far] = net.opened as [SessionStream];
    far.end('last words');
    await once(far, 'finish');
    net.isUp = false;
    net.cut();
    await turn();
    far.sendExit({ code: 9 });
    far.destroy();
    let said = '';
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const heard = once(stream, 'end');
    net.isUp = true;
    assert.deepEqual(await stream.exit, { code: 9 });
    await heard;
    assert.equal(said, 'last words');
  });

  it('is ended before older ones where they hold too much together', async (t) => {
    const net = stage(t, { maxDetachedBytes: 500_000, detachedLife: 5_000 });
    const ends: Promise<Error | undefined>[] = [];
    for (let count = 0; count < 3; count += 1) {
      const { session, ended } = await start(t, net, { detachedLife: 5_000 });
      await session.open(request).opened;
      ends.push(ended);
    }
    net.isUp = false;
    for (const wire of net.wires) {
      wire.cut();
      await sleep(5);
    }
    assert.equal(net.listener.size, 3);
    for (const stream of net.opened) stream.write(Buffer.alloc(200_000));
    while (net.listener.size === 3) await sleep(20);
    assert.equal(net.listener.size, 2);
    net.isUp = true;
    assert.match((await ends[2])?.message ?? '', /unknown session/);
  });

  it('the newest of too many go first, and a large one makes no room for itself', () => {
    const [old, middle, fat, young] = [detached(1, 10), detached(2, 10), detached(3, 100), detached(4, 10)];
    assert.deepEqual(tooMany([young, fat, middle, old], { count: 10, bytes: 50 }), [fat]);
    assert.deepEqual(tooMany([young, fat, middle, old], { count: 2, bytes: 500 }), [fat, young]);
  });
});

describe('the end of a session', () => {
  it('is told to the far side before its carrier closes', async (t) => {
    const net = stage(t);
    const { session, ended } = await start(t, net);
    await session.open(request).opened;
    const far = closing(net.opened[0] as SessionStream);
    session.end(new Error('the client was stopped'));
    await session.closed;
    assert.equal((await ended)?.message, 'the client was stopped');
    assert.match((await far) ?? '', /ended by the far side: the client was stopped/);
    assert.equal(net.listener.size, 0);
  });

  it('waits a second, and no longer, for a far side that does not read', async (t) => {
    const net = stage(t);
    const { session } = await start(t, net);
    net.wires[0]?.blackhole();
    const since = performance.now();
    session.end(OVER);
    await session.closed;
    const took = performance.now() - since;
    assert.ok(took > 900 && took < 2_000, `${took} ms`);
  });

  it('comes after the last stream where it drains, and takes no new ones', async (t) => {
    const net = stage(t);
    const { session, ended, far } = await start(t, net);
    const { stream, opened } = session.open(request);
    await opened;
    far.drain();
    await turn();
    await assert.rejects(session.open(request).opened);
    stream.end('still');
    const [there] = net.opened as [SessionStream];
    there.pipe(there);
    let said = '';
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await once(stream, 'end');
    assert.equal(said, 'still');
    assert.equal(await ended, undefined);
    await session.closed;
    assert.equal(net.listener.size, 0);
  });

  it('waits for the acknowledgement of the last byte, over another carrier if need be', async (t) => {
    const net = stage(t);
    const { session, ended } = await start(t, net);
    const { stream, opened } = session.open(request);
    await opened;
    const [there] = net.opened as [SessionStream];
    there.end();
    stream.resume();
    await once(stream, 'end');
    net.wires[0]?.blackhole();
    stream.end('the last word');
    session.drain();
    let said = '';
    there.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const heard = once(there, 'end');
    net.cut();
    await heard;
    assert.equal(said, 'the last word');
    assert.equal(await ended, undefined);
  });

  it('leaves nothing to a stream that is opened after it', async (t) => {
    const { session } = await start(t, stage(t));
    session.end(OVER);
    const { stream, opened } = session.open(request);
    await assert.rejects(opened);
    assert.match((await closing(stream)) ?? '', /the session has ended/);
  });
});

describe('streams of one session', () => {
  it('beyond the limit are refused, and those that end make room', async (t) => {
    const net = stage(t, { maxStreams: () => 2 });
    const { session } = await start(t, net);
    const first = session.open(request);
    await first.opened;
    await session.open(request).opened;
    await assert.rejects(session.open(request).opened, /2 streams are open, which is the limit/);
    first.stream.destroy();
    await turn();
    await session.open(request).opened;
  });

  it('that nobody reads hold their credit and no more, and slow no other', async (t) => {
    const net = stage(t);
    const { session, far } = await start(t, net);
    const stalled = session.open(request).stream;
    const other = session.open(request).stream;
    while (net.opened.length < 2) await turn();
    const chunk = Buffer.alloc(100_000);
    for (let count = 0; count < 30; count += 1) stalled.write(chunk);
    net.opened[1]?.resume();
    for (let count = 0; count < 100; count += 1) if (!other.write(chunk)) await once(other, 'drain');
    other.end();
    await once(net.opened[1] as SessionStream, 'end');
    assert.equal(net.opened[0]?.readableLength, 1024 * 1024);
    assert.ok(far.held < 1.1 * 1024 * 1024, `${far.held} bytes are held`);
  });
});
