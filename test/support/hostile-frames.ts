/** Frames as somebody sends them who knows the protocol, and damages it on the way. Every choice is data, so that a failing one can be told. */
import fc from 'fast-check';
import { FRAME, HEADER_BYTES, encodeFrame, u32, u64, type FrameType } from '../../core/session/frames.ts';

/** What is done to the bytes of one frame. */
export type Damage =
  | { readonly how: 'none' | 'double' | 'drop' }
  | { readonly how: 'flip'; readonly at: number; readonly bits: number }
  | { readonly how: 'cut'; readonly at: number }
  | { readonly how: 'insert'; readonly at: number; readonly bytes: readonly number[] }
  | { readonly how: 'length'; readonly length: number };

const place = fc.oneof(fc.nat(HEADER_BYTES - 1), fc.nat(400));

const harm: fc.Arbitrary<Damage> = fc.oneof<fc.Arbitrary<Damage>[]>(
  fc.record({ how: fc.constantFrom('double', 'drop') }),
  fc.record({ how: fc.constant('flip'), at: place, bits: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ how: fc.constant('cut'), at: place }),
  fc.record({ how: fc.constant('insert'), at: place, bytes: fc.array(fc.nat(255), { minLength: 1, maxLength: 20 }) }),
  fc.record({
    how: fc.constant('length'),
    length: fc.constantFrom(0, 1, 4096, 4097, 65_536, 65_537, 2 ** 31, 2 ** 32 - 1),
  }),
);

/** @param often how many of ten are damaged */
export const damageOf = (often: number): fc.Arbitrary<Damage> =>
  fc.oneof({ weight: 10 - often, arbitrary: fc.constant<Damage>({ how: 'none' }) }, { weight: often, arbitrary: harm });

export function apply(damage: Damage, frame: Buffer): Buffer {
  const at = 'at' in damage ? damage.at % frame.length : 0;
  const bytes = Buffer.from(frame);
  if (damage.how === 'double') return Buffer.concat([frame, frame]);
  if (damage.how === 'drop') return Buffer.alloc(0);
  if (damage.how === 'cut') return frame.subarray(0, at);
  if (damage.how === 'insert')
    return Buffer.concat([frame.subarray(0, at), Buffer.from(damage.bytes), frame.subarray(at)]);
  if (damage.how === 'flip') bytes.writeUInt8(bytes.readUInt8(at) ^ damage.bits, at);
  if (damage.how === 'length') bytes.writeUInt32BE(damage.length, 0);
  return bytes;
}

export const frameOf = (type: FrameType, body: object, stream = 0): Buffer =>
  encodeFrame(type, stream, Buffer.from(JSON.stringify(body)));

const stream = fc.oneof(fc.constantFrom(0, 1, 2, 3, 5, 7), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
const raw = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
const counts = fc.oneof(fc.nat(100_000), fc.constantFrom(0, 1, 2 ** 32 - 1));
const request = fc.record({
  service: fc.oneof(fc.constantFrom('default', 'sftp', '../x', '', '-x', 'ä'), fc.string({ maxLength: 8 })),
  metadata: fc.oneof(fc.constant({}), fc.jsonValue({ maxDepth: 2 })),
});

/** Frames of a session that runs: what may come when it is there, and must be no use before. */
export const runningFrame: fc.Arbitrary<Buffer> = fc.oneof(
  fc.tuple(fc.constantFrom(1, 3, 5, 7), request).map(([id, body]) => frameOf(FRAME.OPEN, body, id)),
  fc
    .tuple(fc.constantFrom(FRAME.DATA, FRAME.STDERR, FRAME.RESET, FRAME.REFUSED, FRAME.END), stream, raw)
    .map(([type, id, payload]) => encodeFrame(type, id, type === FRAME.END ? Buffer.alloc(0) : payload)),
  fc.tuple(stream, fc.boolean()).map(([id, exit]) => frameOf(FRAME.OPENED, { exit }, id)),
  fc.tuple(stream, fc.nat(300)).map(([id, code]) => frameOf(FRAME.EXIT, { code }, id)),
  fc.tuple(stream, counts).map(([id, bytes]) => encodeFrame(FRAME.CREDIT, id, u32(bytes))),
  counts.map((bytes) => encodeFrame(FRAME.ACK, 0, u64(bytes))),
  fc.tuple(fc.constantFrom(FRAME.PING, FRAME.PONG), raw).map(([type, payload]) => encodeFrame(type, 0, payload)),
  fc.constantFrom(0, 1).map((flags) => encodeFrame(FRAME.GOAWAY, 0, Buffer.from('so'), flags)),
  fc
    .tuple(fc.integer({ min: 0, max: 255 }), stream, raw)
    .map(([type, id, payload]) => encodeFrame(type as FrameType, id, payload)),
  raw,
);

/** The whole frames that bytes begin with, read by this file's own rule. */
export function framesIn(bytes: Buffer, most: number): { type: number; payload: Buffer }[] {
  const frames: { type: number; payload: Buffer }[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = bytes.readUInt32BE(at);
    const end = at + HEADER_BYTES + length;
    if (length > most || end > bytes.length) break;
    frames.push({ type: bytes.readUInt8(at + 8), payload: bytes.subarray(at + HEADER_BYTES, end) });
    at = end;
  }
  return frames;
}

export function objectIn(payload: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(payload.toString());
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
