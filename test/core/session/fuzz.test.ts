/** Any bytes at all from the far side concern that one session: it goes on or ends with a reason, and memory is bounded. */
import assert from 'node:assert/strict';
import { duplexPair, type Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { FrameReader } from '../../../core/session/frame-reader.ts';
import {
  FRAME,
  MAX_PAYLOAD,
  ProtocolError,
  encodeFrame,
  encodeHeader,
  type FrameType,
} from '../../../core/session/frames.ts';
import { greetAsDialer, greetAsListener, type SessionDirectory } from '../../../core/session/handshake.ts';
import { Session, type OpenAnswer } from '../../../core/session/session.ts';
import { assertNothingLeaks } from '../../support/scope.ts';

assertNothingLeaks();

const RUNS = process.env['SLUICE_SOAK'] ? 20_000 : 500;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Memory is freed when it pleases the collector; asking it does no harm. */
async function eventually(isTrue: () => boolean, rounds = 50): Promise<boolean> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let count = 0; count < rounds && !isTrue(); count += 1) {
    collect();
    await turn();
  }
  return isTrue();
}

const directory: SessionDirectory = {
  admit: () => ({}),
  secretOf: () => Buffer.alloc(32, 1),
  canResumeFrom: () => false,
  processedOf: () => 0,
};

/** Cuts bytes into pieces at these places. */
function* split(bytes: Buffer, places: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (const place of places.map((one) => one % (bytes.length + 1)).toSorted((a, b) => a - b)) {
    if (place > at) yield bytes.subarray(at, place);
    at = Math.max(at, place);
  }
  yield bytes.subarray(at);
}

const places = fc.array(fc.nat(), { maxLength: 6 });
const json = fc.json({ maxDepth: 2 }).map((text) => Buffer.from(text));
const raw = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes));

/** Frames that are nearly right. */
const frame = fc
  .record({
    type: fc.oneof(fc.constantFrom(...Object.values(FRAME)), fc.integer({ min: 0, max: 255 })),
    stream: fc.oneof(fc.nat(8), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
    payload: fc.oneof(
      raw(40),
      json,
      fc.constant(Buffer.from('{"service":"x","metadata":{}}')),
      fc.constant(Buffer.alloc(MAX_PAYLOAD)),
    ),
    flags: fc.constantFrom(0, 0, 1, 0x80, 0xff),
  })
  .map(({ type, stream, payload, flags }) => encodeFrame(type as FrameType, stream, payload, flags));

/** Frames and noise, with one byte wrong here and there. */
const stream = fc
  .tuple(
    fc.array(fc.oneof({ weight: 9, arbitrary: frame }, { weight: 1, arbitrary: raw(60) }), { maxLength: 12 }),
    fc.option(fc.tuple(fc.nat(), fc.nat(255))),
  )
  .map(([parts, wrong]) => {
    const bytes = Buffer.concat(parts);
    if (wrong !== null && bytes.length > 0) bytes.writeUInt8(wrong[1], wrong[0] % bytes.length);
    return bytes;
  });

async function feed(carrier: Duplex, bytes: Buffer, at: readonly number[]): Promise<void> {
  for (const piece of split(bytes, at)) {
    if (carrier.writable) carrier.write(piece);
    await turn();
  }
}

const DEADLINES = { message: 20, whole: 20 };

describe('a handshake that gets any bytes', () => {
  for (const [who, greet] of [
    ['listener', (carrier: Duplex) => greetAsListener(carrier, directory, DEADLINES)],
    ['dialer', (carrier: Duplex) => greetAsDialer(carrier, { token: 'x' }, DEADLINES)],
  ] as const) {
    it(`of the ${who} fails with a reason, and soon`, async () => {
      const property = fc.asyncProperty(stream, places, async (bytes, at) => {
        const [here, there] = duplexPair();
        const result = greet(here).then(
          () => 'a session',
          (error: unknown) => error,
        );
        there.resume();
        await feed(there, bytes, at);
        there.end();
        const seen = await result;
        assert.ok(seen instanceof Error && seen.message !== '', String(seen));
        here.destroy();
      });
      await fc.assert(property, { numRuns: RUNS });
    });
  }
});

/** A session that is given what a peer sends; whether the peer reads is its own affair. */
function victim(side: 'dialer' | 'listener', reads: boolean) {
  const [here, there] = duplexPair();
  const answers: OpenAnswer[] = [];
  let reason: Error | undefined;
  let hasEnded = false;
  const session = new Session({
    side,
    onOpen: (_request, answer) => {
      answers.push(answer);
      if (answers.length % 3 === 0) answer.refuse('no');
      else answer.accept({ exit: answers.length % 2 === 0 });
    },
    onProgress: () => {},
    onDetached: () => {},
    onEnded: (why) => {
      hasEnded = true;
      reason = why;
    },
    maxStreams: () => 8,
  });
  session.attach(here, 0);
  there.on('error', () => {});
  if (reads) there.resume();
  return { session, here, there, answers, reason: () => reason, hasEnded: () => hasEnded };
}

describe('a running session that gets any bytes', () => {
  it('goes on, or ends and says at which byte of which frame', async () => {
    const property = fc.asyncProperty(
      fc.constantFrom('dialer' as const, 'listener' as const),
      fc.boolean(),
      stream,
      places,
      async (side, reads, bytes, at) => {
        const one = victim(side, reads);
        const ours = one.session.open({ service: 'x', metadata: {} });
        await feed(one.there, bytes, at);
        assert.ok(one.session.held < 10 * 1024 * 1024);
        const reason = one.reason();
        if (reason instanceof ProtocolError) assert.match(reason.message, /frame .+ at byte \d+/);
        else if (reason !== undefined) assert.match(reason.message, /ended by the far side/);
        if (one.hasEnded()) assert.ok(ours.stream.destroyed);
        one.session.end(new Error('the test is over'));
        one.there.destroy();
        one.here.destroy();
        await turn();
      },
    );
    await fc.assert(property, { numRuns: RUNS });
  });

  it('takes no memory on the word of a length, and none for bytes that come one by one', async () => {
    const { there, session, reason } = victim('listener', true);
    const before = process.memoryUsage().arrayBuffers;
    const header = encodeHeader(FRAME.DATA, 1, MAX_PAYLOAD);
    for (const byte of header) there.write(Buffer.from([byte]));
    await turn();
    assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024);
    there.write(encodeHeader(FRAME.DATA, 1, 0));
    session.end(new Error('the test is over'));
    assert.equal(reason()?.message, 'the test is over');
    there.destroy();
    await turn();
  });

  it('does not keep a chunk for the sake of a few bytes in it that nobody reads', async () => {
    const { there, session, answers } = victim('listener', true);
    for (const id of [1, 3]) there.write(encodeFrame(FRAME.OPEN, id, OPEN));
    await turn();
    answers[0]?.stream.resume();
    await eventually(() => false, 5); // what other tests have left
    const before = process.memoryUsage().arrayBuffers;
    const few = encodeFrame(FRAME.DATA, 3, Buffer.alloc(10));
    for (let count = 0; count < 600; count += 1) {
      there.write(Buffer.concat([encodeFrame(FRAME.DATA, 1, Buffer.alloc(MAX_PAYLOAD)), few]));
      await turn();
    }
    assert.ok(session.held >= 6_000);
    assert.ok(await eventually(() => process.memoryUsage().arrayBuffers - before < 10 * 1024 * 1024));
    session.end(new Error('the test is over'));
    there.destroy();
    await turn();
  });

  it('keeps what nobody reads, and not the memory of the carrier in which it came', async () => {
    const { there, session, answers } = victim('listener', true);
    for (const id of [1, 3]) there.write(encodeFrame(FRAME.OPEN, id, OPEN));
    await turn();
    answers[0]?.stream.resume();
    await eventually(() => false, 5); // what other tests have left
    const before = process.memoryUsage().arrayBuffers;
    const large = encodeFrame(FRAME.DATA, 1, Buffer.alloc(MAX_PAYLOAD));
    const modest = encodeFrame(FRAME.DATA, 3, Buffer.alloc(10_000));
    for (let count = 0; count < 100; count += 1) {
      there.write(Buffer.concat([large, large, large, modest]));
      await turn();
    }
    assert.ok(session.held >= 1_000_000);
    assert.ok(await eventually(() => process.memoryUsage().arrayBuffers - before < 4 * 1024 * 1024));
    session.end(new Error('the test is over'));
    there.destroy();
    await turn();
  });

  it('does not take a buffer for each of many frames of one byte that nobody reads', async () => {
    const { there, session, answers } = victim('listener', true);
    there.write(encodeFrame(FRAME.OPEN, 1, OPEN));
    await turn();
    const before = process.memoryUsage();
    const bytes = Buffer.concat(Array.from({ length: 1_000 }, () => encodeFrame(FRAME.DATA, 1, Buffer.alloc(1, 7))));
    for (let count = 0; count < 200; count += 1) {
      there.write(bytes);
      await turn();
    }
    const { external, heapUsed } = process.memoryUsage();
    const grown = external - before.external + heapUsed - before.heapUsed;
    assert.ok(grown < 30 * 1024 * 1024, `${grown} bytes for 200,000`);
    const got: Buffer[] = [];
    answers[0]?.stream.on('data', (chunk: Buffer) => got.push(chunk));
    assert.ok(await eventually(() => Buffer.concat(got).equals(Buffer.alloc(200_000, 7))));
    session.end(new Error('the test is over'));
    there.destroy();
    await turn();
  });

  it('delivers a few bytes that came while nobody read, when somebody does', async () => {
    const { there, session, answers } = victim('listener', true);
    there.write(encodeFrame(FRAME.OPEN, 1, OPEN));
    await turn();
    const opened = answers[0]?.stream;
    const got: Buffer[] = [];
    opened?.on('data', (chunk: Buffer) => got.push(chunk));
    opened?.pause();
    for (let count = 0; count < 5; count += 1) {
      there.write(encodeFrame(FRAME.DATA, 1, Buffer.alloc(10, count)));
      await turn();
    }
    opened?.resume();
    await turn();
    assert.equal(Buffer.concat(got).length, 50);
    session.end(new Error('the test is over'));
    there.destroy();
    await turn();
  });

  it('refuses a length of two gigabytes at its header', async () => {
    const { there, reason } = victim('listener', true);
    there.write(encodeHeader(FRAME.DATA, 1, 2 ** 31));
    await turn();
    assert.match(reason()?.message ?? '', /frame DATA at byte 0 is 2147483648 bytes long; 65536 are allowed/);
    there.destroy();
  });
});

const OPEN = Buffer.from('{"service":"x","metadata":{}}');

/** Sends frames for ever, or until the session has had enough. */
async function flood(one: ReturnType<typeof victim>, next: (count: number) => Buffer): Promise<number> {
  let most = 0;
  for (let count = 0; count < 3_000 && !one.hasEnded(); count += 1) {
    const batch = Array.from({ length: 20 }, (_, at) => next(count * 20 + at));
    one.there.write(Buffer.concat(batch));
    if (count % 20 === 0) await turn();
    most = Math.max(most, one.session.held + one.here.writableLength);
  }
  return most;
}

/** Bytes that may wait in a carrier of one stream (outbox.ts). */
const CARRIER_AHEAD_ALONE = 512 * 1024;

describe('a peer that sends for ever', () => {
  const floods: [name: string, next: (count: number) => Buffer][] = [
    ['PING', () => encodeFrame(FRAME.PING, 0, Buffer.alloc(64))],
    ['OPEN', (count) => encodeFrame(FRAME.OPEN, 2 * count + 1, OPEN)],
    [
      'OPEN and RESET',
      (count) =>
        Buffer.concat([
          encodeFrame(FRAME.OPEN, 2 * count + 1, OPEN),
          encodeFrame(FRAME.RESET, 2 * count + 1, Buffer.alloc(0)),
        ]),
    ],
  ];
  for (const [name, next] of floods) {
    for (const reads of [false, true]) {
      it(`${name} and ${reads ? 'acknowledges' : 'reads'} nothing does not make memory grow`, async () => {
        const one = victim('listener', reads);
        const most = await flood(one, next);
        const bound = name === 'PING' ? CARRIER_AHEAD_ALONE + 64 * 1024 : 8 * 1024 * 1024; // only the newest is answered
        assert.ok(most < bound, `${most} bytes were held`);
        one.session.end(new Error('the test is over'));
        one.there.destroy();
        one.here.destroy();
        await turn();
      });
    }
  }

  it('data is bounded by its credit, and what exceeds it ends the session', async () => {
    const one = victim('listener', false);
    one.there.write(encodeFrame(FRAME.OPEN, 1, OPEN));
    const most = await flood(one, () => encodeFrame(FRAME.DATA, 1, Buffer.alloc(MAX_PAYLOAD)));
    assert.ok(most < 2 * 1024 * 1024, `${most} bytes were held`);
    assert.match(one.reason()?.message ?? '', /frame DATA of stream 1 at byte \d+: \d+ bytes more than were granted/);
    one.there.destroy();
  });
});

describe('what breaks the protocol', () => {
  const cases: [name: string, bytes: Buffer, says: RegExp][] = [
    [
      'data for a stream that never was',
      encodeFrame(FRAME.DATA, 9, OPEN),
      /frame DATA of stream 9 at byte 0: there never was such a stream/,
    ],
    ['a number that is ours to give', encodeFrame(FRAME.OPEN, 2, OPEN), /frame OPEN of stream 2 at byte 0: a number/],
    [
      'a number given twice',
      Buffer.concat([
        encodeFrame(FRAME.OPEN, 1, OPEN),
        encodeFrame(FRAME.RESET, 1, OPEN),
        encodeFrame(FRAME.OPEN, 1, OPEN),
      ]),
      /frame OPEN of stream 1 at byte 82: a number/,
    ],
    [
      'an acknowledgement of what was never sent',
      encodeFrame(FRAME.ACK, 0, Buffer.from('00000000000fffff', 'hex')),
      /frame ACK at byte 0: offset 1048575 cannot be acknowledged/,
    ],
    ['an acknowledgement of 2^64-1', encodeFrame(FRAME.ACK, 0, Buffer.alloc(8, 255)), /an offset that cannot be/],
    ['a frame of the handshake', encodeFrame(FRAME.RESUME, 0, OPEN), /frame RESUME at byte 0/],
    ['an unknown frame', encodeFrame(99 as FrameType, 0, OPEN), /frame type 99 at byte 0: which is unknown/],
    ['a long PING', encodeFrame(FRAME.PING, 0, Buffer.alloc(65)), /frame PING at byte 0: more than 64 bytes/],
    [
      'an OPEN that is no object',
      encodeFrame(FRAME.OPEN, 1, Buffer.from('[]')),
      /frame OPEN of stream 1 at byte 0: what it says is no object/,
    ],
  ];
  for (const [name, bytes, says] of cases) {
    it(`${name} ends the session, which says where`, async () => {
      const { there, reason } = victim('listener', true);
      there.write(bytes);
      await turn();
      assert.match(reason()?.message ?? 'no end', says);
      assert.equal(reason()?.name, 'ProtocolError');
      there.destroy();
    });
  }

  it('a frame of an unknown type that says it may be skipped is skipped', async () => {
    const { there, hasEnded, session } = victim('listener', true);
    there.write(encodeFrame(99 as FrameType, 7, OPEN, 0x80));
    await turn();
    assert.equal(hasEnded(), false);
    assert.equal(session.processed, 12 + OPEN.length);
    session.end(new Error('the test is over'));
    there.destroy();
  });
});

describe('an OPEN whose service is not a name', () => {
  for (const service of ['', '-x', '.x', '../etc', 'a b', 'a/b', 'ä', 'x'.repeat(256), 7]) {
    it(`${JSON.stringify(service).slice(0, 20)} is refused, and the session goes on`, async () => {
      const one = victim('listener', false);
      one.there.write(encodeFrame(FRAME.OPEN, 1, Buffer.from(JSON.stringify({ service, metadata: {} }))));
      await turn();
      const said = new FrameReader();
      said.feed(one.there.read() as Buffer);
      assert.deepEqual([said.next()?.type, said.next()?.type], [FRAME.PING, FRAME.REFUSED]);
      assert.equal(one.answers.length, 0);
      assert.equal(one.hasEnded(), false);
      one.session.end(new Error('the test is over'));
      one.there.destroy();
      one.here.destroy();
    });
  }
});
