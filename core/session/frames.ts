/**
 * Frames: what a session's bytes are made of. Pure. PROTOCOL.md has the format for those who write a second one.
 *
 *     length u32 · stream u32 · type u8 · flags u8 · reserved u16 · payload of `length` bytes      (big-endian)
 *
 * The reader takes bytes as they come, in any pieces, and never allocates on the word of a length field: a frame whose
 * length is over the limit is refused before its payload is waited for.
 */

export const HEADER_BYTES = 12;
/** Bytes. Streams take turns in pieces of this size, so that none waits long behind another. */
export const MAX_PAYLOAD = 64 * 1024;
/** Bytes of a frame before the far side has proved who it is. */
export const MAX_HANDSHAKE_PAYLOAD = 4 * 1024;
/** A frame of an unknown type with this flag is skipped; without it, it is an error. */
export const IGNORABLE = 0x80;

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

export interface Frame {
  readonly type: number;
  readonly stream: number;
  readonly flags: number;
  readonly payload: Buffer;
}

/** The far side broke the protocol; the session ends with it. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

export function encodeHeader(type: FrameType, stream: number, length: number, flags = 0): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(length, 0);
  header.writeUInt32BE(stream, 4);
  header.writeUInt8(type, 8);
  header.writeUInt8(flags, 9);
  header.writeUInt16BE(0, 10);
  return header;
}

export const encodeFrame = (type: FrameType, stream: number, payload: Buffer, flags = 0): Buffer =>
  Buffer.concat([encodeHeader(type, stream, payload.length, flags), payload]);

/** Splits bytes into frames. One for each direction of a carrier; a new carrier begins at a frame's start. */
export class FrameReader {
  /** Bytes that a payload may have now: small until the far side has proved who it is. */
  limit = MAX_HANDSHAKE_PAYLOAD;
  #pieces: Buffer[] = [];
  #buffered = 0;
  /** Bytes of all frames handed on so far: where a mistake is told to be. */
  #offset = 0;

  feed(chunk: Buffer): void {
    this.#pieces.push(chunk);
    this.#buffered += chunk.length;
  }

  /** Bytes that belong to no frame taken so far. */
  rest(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  /** The next whole frame, if it is there. @throws ProtocolError with the offset and type of the frame that is wrong. */
  next(): Frame | undefined {
    if (this.#buffered < HEADER_BYTES) return undefined;
    const header = this.#peekHeader();
    const length = header.readUInt32BE(0);
    const type = header.readUInt8(8);
    if (length > this.limit) {
      throw new ProtocolError(
        `frame ${frameName(type)} at byte ${this.#offset} is ${length} bytes long; ${this.limit} are allowed`,
      );
    }
    const size = HEADER_BYTES + length;
    if (this.#buffered < size) return undefined;
    const bytes = this.#take(size);
    this.#offset += size;
    return { type, stream: bytes.readUInt32BE(4), flags: bytes.readUInt8(9), payload: bytes.subarray(HEADER_BYTES) };
  }

  #peekHeader(): Buffer {
    const [first] = this.#pieces;
    if (first !== undefined && first.length >= HEADER_BYTES) return first;
    return this.#gather();
  }

  /** Exactly `size` bytes, without a copy where they came in one piece. */
  #take(size: number): Buffer {
    const [first] = this.#pieces;
    const whole = first !== undefined && first.length >= size ? first : this.#gather();
    const rest = whole.subarray(size);
    if (rest.length > 0) this.#pieces[0] = rest;
    else this.#pieces.shift();
    this.#buffered -= size;
    return whole.subarray(0, size);
  }

  #gather(): Buffer {
    const whole = Buffer.concat(this.#pieces);
    this.#pieces = [whole];
    return whole;
  }
}
