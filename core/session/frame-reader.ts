/**
 * Splits a carrier's bytes into frames; they come in any pieces. Nothing is allocated on the word of a length field: a
 * frame over the limit is refused as soon as its header is there, and the payload of any other takes as much memory as
 * has really arrived. One reader for each direction of a carrier; a new carrier begins at a frame's start.
 */
import { HEADER_BYTES, MAX_HANDSHAKE_PAYLOAD, ProtocolError, frameName, type Frame } from './frames.ts';

/** Pieces that wait before they are put together: a peer that sends byte by byte must not cost an object for each. */
const MOST_PIECES = 64;

export class FrameReader {
  /** Bytes that a payload may have now: small until the far side has proved who it is. */
  limit = MAX_HANDSHAKE_PAYLOAD;
  #pieces: Buffer[] = [];
  #buffered = 0;
  /** Bytes of all frames handed on so far: where a mistake is told to be. */
  #offset = 0;
  /** What `next` waits for: a header, then the whole frame. */
  #wanted = HEADER_BYTES;

  /** Bytes of the carrier that belong to frames handed on. */
  get offset(): number {
    return this.#offset;
  }

  feed(chunk: Buffer): void {
    this.#pieces.push(chunk);
    this.#buffered += chunk.length;
    if (this.#pieces.length > MOST_PIECES) this.#gather();
  }

  /** Bytes that belong to no frame taken so far. */
  rest(): Buffer {
    return this.#pieces.length === 1 ? this.#gather() : Buffer.concat(this.#pieces);
  }

  /** The next whole frame, if it is there. @throws ProtocolError with the offset and type of the frame that is wrong. */
  next(): Frame | undefined {
    if (this.#buffered < this.#wanted) return undefined;
    if (this.#wanted === HEADER_BYTES) {
      this.#wanted += this.#readLength();
      if (this.#buffered < this.#wanted) return undefined;
    }
    const bytes = this.#take(this.#wanted);
    this.#offset += bytes.length;
    this.#wanted = HEADER_BYTES;
    return {
      type: bytes.readUInt8(8),
      stream: bytes.readUInt32BE(4),
      flags: bytes.readUInt8(9),
      payload: bytes.subarray(HEADER_BYTES),
    };
  }

  #readLength(): number {
    const [first] = this.#pieces;
    const header = first !== undefined && first.length >= HEADER_BYTES ? first : this.#gather();
    const length = header.readUInt32BE(0);
    if (length <= this.limit) return length;
    const type = frameName(header.readUInt8(8));
    throw new ProtocolError(`frame ${type} at byte ${this.#offset} is ${length} bytes long; ${this.limit} are allowed`);
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
