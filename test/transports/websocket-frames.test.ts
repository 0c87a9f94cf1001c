/** Our WebSocket frames: what RFC 6455 demands. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FrameReader } from '../../transports/websocket-frame-reader.ts';
import { CLOSE, OPCODE, WebSocketError, encodeClose, parseClose } from '../../transports/websocket-frames.ts';
import { applyByLoop } from '../../transports/websocket-mask.ts';
import { FrameWriter } from '../../transports/websocket-writer.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { KEY, bytesOf, frame } from '../support/websockets.ts';

assertNothingLeaks();

/** What a reader has made of bytes. */
function readAll(chunks: readonly Buffer[], fromClient: boolean, mostPayload = 1024 * 1024) {
  const messages: Buffer[] = [];
  const controls: { opcode: number; payload: string }[] = [];
  let pieces: Buffer[] = [];
  const reader = new FrameReader(
    { fromClient, mostPayload },
    {
      data: (piece) => pieces.push(Buffer.from(piece)),
      message(length) {
        messages.push(Buffer.concat(pieces));
        assert.equal(messages.at(-1)?.length, length);
        pieces = [];
      },
      control: (opcode, payload) => controls.push({ opcode, payload: payload.toString('latin1') }),
    },
  );
  for (const chunk of chunks) reader.read(Buffer.from(chunk));
  return { messages: messages.map(String), controls };
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** Cuts bytes at the places given, each a part of the whole. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => Math.floor(place * bytes.length)), bytes.length].toSorted((a, b) => a - b);
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 });

describe('what a reader takes', () => {
  it('the examples of RFC 6455 §5.7', () => {
    assert.deepEqual(readAll([hex('81 05 48656c6c6f')], false).messages, ['Hello']);
    assert.deepEqual(readAll([hex('81 85 37fa213d 7f9f4d5158')], true).messages, ['Hello']);
    assert.deepEqual(readAll([hex('01 03 48656c'), hex('80 02 6c6f')], false).messages, ['Hello']);
    assert.deepEqual(readAll([hex('89 05 48656c6c6f')], false).controls, [{ opcode: OPCODE.PING, payload: 'Hello' }]);
    assert.deepEqual(readAll([hex('8a 85 37fa213d 7f9f4d5158')], true).controls, [
      { opcode: OPCODE.PONG, payload: 'Hello' },
    ]);
    for (const length of [256, 65_536]) {
      const message = 'x'.repeat(length);
      assert.deepEqual(readAll([frame(0x82, message)], false).messages, [message]);
    }
  });

  it('a control frame between the fragments of a message', () => {
    const read = readAll([frame(0x02, 'a'), frame(0x89, 'p'), frame(0x80, 'b')], false);
    assert.deepEqual(read, { messages: ['ab'], controls: [{ opcode: OPCODE.PING, payload: 'p' }] });
  });

  it('a thousand empty fragments of each message', () => {
    const message = Buffer.concat([
      frame(0x02, ''),
      ...Array.from({ length: 1_000 }, () => frame(0, '')),
      frame(0x80, 'a'),
    ]);
    assert.deepEqual(
      readAll(
        Array.from({ length: 10 }, () => message),
        false,
      ).messages,
      'a'.repeat(10).split(''),
    );
  });

  it('text whose characters are cut by fragments and chunks', () => {
    const text = Buffer.from('grüße 🚢');
    for (let at = 0; at <= text.length; at += 1) {
      const frames = Buffer.concat([frame(0x01, text.subarray(0, at), KEY), frame(0x80, text.subarray(at), KEY)]);
      assert.deepEqual(readAll(cut(frames, [0.3, 0.5]), true).messages, ['grüße 🚢']);
    }
  });

  it('any messages, in any fragments and any chunks', () => {
    const messages = fc.array(fc.array(fc.nat(70_000), { minLength: 1, maxLength: 3 }), { maxLength: 4 });
    const property = fc.property(messages, fc.boolean(), places, (lengths, fromClient, cuts) => {
      const all = lengths.map((fragments) => fragments.map(bytesOf));
      const key = fromClient ? KEY : undefined;
      const frames = all.flatMap((fragments) =>
        fragments.map((fragment, at) =>
          frame((at === 0 ? 2 : 0) | (at === fragments.length - 1 ? 0x80 : 0), fragment, key),
        ),
      );
      const { messages: got } = readAll(cut(Buffer.concat(frames), cuts), fromClient);
      assert.deepEqual(
        got,
        all.map((fragments) => String(Buffer.concat(fragments))),
      );
    });
    fc.assert(property, { numRuns: 50 });
  });
});

describe('what a reader refuses', () => {
  const cases: readonly [what: string, bytes: Buffer, fromClient: boolean, code: number][] = [
    ['reserved bits', hex('c2 00'), false, CLOSE.PROTOCOL_ERROR],
    ['a client’s frame without a mask', hex('82 01 61'), true, CLOSE.PROTOCOL_ERROR],
    ['a server’s frame with a mask', frame(0x82, 'a', KEY), false, CLOSE.PROTOCOL_ERROR],
    ['an unknown type of data', hex('83 00'), false, CLOSE.PROTOCOL_ERROR],
    ['an unknown type of control', hex('8b 00'), false, CLOSE.PROTOCOL_ERROR],
    ['a control frame in fragments', hex('09 00'), false, CLOSE.PROTOCOL_ERROR],
    ['a control frame of 126 bytes', hex('89 7e 007e'), false, CLOSE.PROTOCOL_ERROR],
    ['a continuation of nothing', hex('80 00'), false, CLOSE.PROTOCOL_ERROR],
    ['a message within another', hex('02 00 82 00'), false, CLOSE.PROTOCOL_ERROR],
    ['a message that announces too much', hex('82 7f 0000000000100001'), false, CLOSE.TOO_BIG],
    ['a message that announces more than there can be', hex('82 7f ffffffffffffffff'), false, CLOSE.TOO_BIG],
    ['fragments that are too much together', hex('02 01 61 80 7f 0000000000100000'), false, CLOSE.TOO_BIG],
    ['a short length in two bytes', hex('82 7e 007d'), false, CLOSE.PROTOCOL_ERROR],
    ['a short length in eight bytes', hex('82 7f 000000000000ffff'), false, CLOSE.PROTOCOL_ERROR],
    ['empty fragments without end', hex(`02 00${' 00 00'.repeat(5_000)}`), false, CLOSE.POLICY],
    ['text that is not UTF-8', frame(0x81, hex('ff')), false, CLOSE.NO_UTF8],
    ['text that ends in the middle of a character', frame(0x81, hex('e282')), false, CLOSE.NO_UTF8],
  ];
  for (const [what, bytes, fromClient, code] of cases)
    it(what, () => {
      for (const chunks of [[bytes], [...bytes].map((byte) => Buffer.of(byte))])
        assert.throws(
          () => readAll(chunks, fromClient),
          (error) => error instanceof WebSocketError && error.code === code,
        );
    });
});

describe('a close', () => {
  it('carries a code and a reason, which is cut at a character', () => {
    assert.deepEqual(parseClose(encodeClose(1011, 'disk full')), { code: 1011, reason: 'disk full' });
    assert.deepEqual(parseClose(encodeClose(CLOSE.NO_STATUS)), { code: CLOSE.NO_STATUS, reason: '' });
    const { reason } = parseClose(encodeClose(1000, `x${'ü'.repeat(100)}`));
    assert.equal(reason, `x${'ü'.repeat(61)}`);
  });

  it('with a code that nobody may send, or with half of one, is refused', () => {
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000]) {
      const payload = Buffer.alloc(2);
      payload.writeUInt16BE(code);
      assert.throws(() => parseClose(payload), WebSocketError, String(code));
    }
    assert.throws(() => parseClose(Buffer.of(3)), WebSocketError);
    assert.throws(
      () => parseClose(hex('03e8 ff')),
      (error) => (error as WebSocketError).code === CLOSE.NO_UTF8,
    );
  });
});

it('the loop masks as the definition says, wherever the bytes lie', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(7), (bytes, offset) => {
    const at = Buffer.alloc(offset + bytes.length).subarray(offset);
    at.set(bytes);
    applyByLoop(at, KEY);
    assert.deepEqual(
      [...at],
      [...bytes].map((byte, i) => byte ^ (KEY[i & 3] as number)),
    );
  });
  fc.assert(property);
});

/** The keys of `count` frames of four bytes each, and their payloads as they are on the wire. */
async function onTheWire(scope: Scope, key: 'random' | 'zero' | undefined, count: number) {
  const [near, far] = await socketPair(scope);
  const writer = new FrameWriter(near, key);
  for (let i = 0; i < count; i += 1) await new Promise((done) => writer.send([Buffer.from('data')], done));
  near.end();
  const bytes = await buffer(far);
  const size = bytes.length / count;
  const frames = Array.from({ length: count }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
  return frames.map((one) => ({
    key: one.subarray(2, size - 4).toString('hex'),
    payload: one.subarray(size - 4).toString(),
  }));
}

describe('what a client’s frames are masked with', () => {
  it('is new for each of them', async (t) => {
    const frames = await onTheWire(new Scope(t), 'random', 50);
    assert.equal(new Set(frames.map(({ key }) => key)).size, 50);
    assert.ok(frames.every(({ payload }) => payload !== 'data'));
  });

  it('is nothing below TLS, in frames that are masked ones all the same', async (t) => {
    const frames = await onTheWire(new Scope(t), 'zero', 2);
    assert.deepEqual(
      frames.map(({ key, payload }) => `${key} ${payload}`),
      ['00000000 data', '00000000 data'],
    );
  });

  it('is not there in a server’s', async (t) => {
    const [only] = await onTheWire(new Scope(t), undefined, 1);
    assert.deepEqual([only?.key, only?.payload], ['', 'data']);
  });
});

/** Both ends of a connection. */
async function socketPair(scope: Scope): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  scope.defer(() => server.close());
  await once(server, 'listening');
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = (await once(server, 'connection')) as [Socket];
  scope.defer(() => near.destroy());
  scope.defer(() => far.destroy());
  return [near, far];
}
