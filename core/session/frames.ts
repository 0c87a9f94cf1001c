/**
 * Frames: what a session's bytes are made of. Pure. PROTOCOL.md has the format for those who write a second one;
 * frame-reader.ts takes them out of a carrier's bytes.
 *
 *     length u32 · stream u32 · type u8 · flags u8 · reserved u16 · payload of `length` bytes      (big-endian)
 */

export const HEADER_BYTES = 12;
/** Bytes. Streams take turns in pieces of this size, so that none waits long behind another. */
export const MAX_PAYLOAD = 64 * 1024;
/** Bytes of data in a full frame: four records of TLS hold it with its header, and with a WebSocket's of 8 before it. */
export const DATA_PAYLOAD = 4 * 16 * 1024 - 8 - HEADER_BYTES;
/** Bytes of a frame before the far side has proved who it is. */
export const MAX_HANDSHAKE_PAYLOAD = 4 * 1024;
/** Bytes that a PING may ask to be repeated. */
export const MAX_PING = 64;
/** A frame of an unknown type with this flag is skipped; without it, it is an error. */
export const IGNORABLE = 0x80;
/** Flag of GOAWAY: the session is over now, not when its streams are. */
export const OVER = 1;

export const FRAME = {
  HELLO: 1,
  PROVE: 2,
  PROVED: 3,
  RESUME: 4,
  RESUMED: 5,
  DENIED: 6,
  ACK: 7,
  PING: 8,
  PONG: 9,
  // From here on frames are counted for resume.
  OPEN: 32,
  OPENED: 33,
  REFUSED: 34,
  DATA: 35,
  STDERR: 36,
  END: 37,
  EXIT: 38,
  RESET: 39,
  CREDIT: 40,
  GOAWAY: 41,
} as const;

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

const NAMES = new Map<number, string>(Object.entries(FRAME).map(([name, type]) => [type, name]));

/** The name of a type, or its number where there is none. */
export const frameName = (type: number): string => NAMES.get(type) ?? `type ${type}`;

export const isCounted = (type: number): boolean => type >= FRAME.OPEN;

/** One frame, as it was received. */
export class Frame {
  readonly type: number;
  readonly stream: number;
  readonly flags: number;
  /** The payload as it came; whoever needs no whole does not pay for a copy. */
  readonly pieces: readonly Buffer[];

  constructor(type: number, stream: number, flags: number, pieces: readonly Buffer[]) {
    this.type = type;
    this.stream = stream;
    this.flags = flags;
    this.pieces = pieces;
  }

  get length(): number {
    return lengthOf(this.pieces);
  }

  get payload(): Buffer {
    const [first = NOTHING] = this.pieces;
    return this.pieces.length > 1 ? Buffer.concat(this.pieces) : first;
  }
}

export function lengthOf(pieces: readonly Buffer[]): number {
  let sum = 0;
  for (const { length } of pieces) sum += length;
  return sum;
}

export const NOTHING = Buffer.alloc(0);

/** The far side broke the protocol; the session ends with it. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** Writes a frame's header at the beginning of its bytes. */
export function writeHeader(bytes: Buffer, type: FrameType, stream: number, length: number, flags = 0): void {
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(stream, 4);
  bytes.writeUInt8(type, 8);
  bytes.writeUInt8(flags, 9);
  bytes.writeUInt16BE(0, 10);
}

export function encodeHeader(type: FrameType, stream: number, length: number, flags = 0): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  writeHeader(header, type, stream, length, flags);
  return header;
}

export const encodeFrame = (type: FrameType, stream: number, payload: Buffer, flags = 0): Buffer =>
  Buffer.concat([encodeHeader(type, stream, payload.length, flags), payload]);

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export const u64 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

/** @throws ProtocolError */
export function readU32(payload: Buffer): number {
  if (payload.length !== 4) throw new ProtocolError(`a number of ${payload.length} bytes instead of 4`);
  return payload.readUInt32BE();
}

/** @throws ProtocolError */
export function readOffset(payload: Buffer): number {
  if (payload.length !== 8) throw new ProtocolError(`an offset of ${payload.length} bytes instead of 8`);
  const offset = Number(payload.readBigUInt64BE());
  if (!Number.isSafeInteger(offset)) throw new ProtocolError('an offset that cannot be');
  return offset;
}

/** Bytes of a reason that a RESET, REFUSED or GOAWAY carries. */
const MAX_REASON = 1024;

export const encodeReason = (reason: string): Buffer => Buffer.from(reason).subarray(0, MAX_REASON);

/** What every hop would say again of the same cut: only its root is carried on. */
const SAID_BY_HOPS = /^(?:(?:cut by the (?:source|sink)|reset by the far side): )+(?=.)/;

/** The reason of a RESET, as it is carried on. */
export const encodeRoot = (reason: string): Buffer => encodeReason(reason.replace(SAID_BY_HOPS, ''));

/** As a message may show it: the far side wrote it. */
export const decodeReason = (payload: Buffer): string =>
  printable(payload.subarray(0, MAX_REASON).toString(), MAX_REASON);

/** What the far side says, for a log or a terminal: one line, nothing that controls either. */
export function printable(text: string, most: number): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}
