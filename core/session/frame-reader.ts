/**
 * Splits a carrier's bytes into frames; they come in any pieces. Nothing is allocated on the word of a length field: a
 * frame over the limit is refused as soon as its header is there, and the payload of any other takes as much memory as
 * has really arrived. One reader for each direction of a carrier; a new carrier begins at a frame's start.
 */
import type { GiveBack } from '../lending.ts';
import { Frame, HEADER_BYTES, MAX_HANDSHAKE_PAYLOAD, ProtocolError, frameName } from './frames.ts';

/** Pieces that wait before they are put together: a peer that sends byte by byte must not cost an object for each. */
const MOST_PIECES = 64;

export class FrameReader {
  /** Bytes that a payload may have now: small until the far side has proved who it is. */
  limit = MAX_HANDSHAKE_PAYLOAD;
  #pieces: Buffer[] = [];
  #buffered = 0;
  /** Bytes of all frames handed on so far: where a mistake is told to be. */
  #offset = 0;
  /** The header of the frame whose payload is waited for. */
  #header: Buffer | undefined;
  readonly #giveBack: GiveBack | undefined;

  /** @param giveBack gets what is read no more: headers, and what was joined */
  constructor(giveBack?: GiveBack) {
    this.#giveBack = giveBack;
  }

  /** Bytes of the carrier that belong to frames handed on. */
  get offset(): number {
    return this.#offset;
  }

  feed(chunk: Buffer): void {
    this.#pieces.push(chunk);
    this.#buffered += chunk.length;
    if (this.#pieces.length <= MOST_PIECES) return;
    const joined = Buffer.concat(this.#pieces);
    for (const piece of this.#pieces) this.#giveBack?.(piece);
    this.#pieces = [joined];
  }

  /** Bytes that belong to no frame taken so far. */
  rest(): Buffer {
    return Buffer.concat(this.#header === undefined ? this.#pieces : [this.#header, ...this.#pieces]);
  }

  /** The next whole frame, if it is there. @throws ProtocolError with the offset and type of the frame that is wrong. */
  next(): Frame | undefined {
    const header = (this.#header ??= this.#takeHeader());
    if (header === undefined) return undefined;
    const length = this.#lengthOf(header);
    if (this.#buffered < length) return undefined;
    this.#header = undefined;
    this.#offset += HEADER_BYTES + length;
    const frame = new Frame(header.readUInt8(8), header.readUInt32BE(4), header.readUInt8(9), this.#take(length));
    this.#giveBack?.(header);
    return frame;
  }

  #takeHeader(): Buffer | undefined {
    if (this.#buffered < HEADER_BYTES) return undefined;
    const [first, ...others] = this.#take(HEADER_BYTES) as [Buffer, ...Buffer[]];
    if (others.length === 0) return first;
    const whole = Buffer.concat([first, ...others]);
    for (const piece of [first, ...others]) this.#giveBack?.(piece);
    return whole;
  }

  #lengthOf(header: Buffer): number {
    const length = header.readUInt32BE(0);
    if (length <= this.limit) return length;
    const type = frameName(header.readUInt8(8));
    throw new ProtocolError(`frame ${type} at byte ${this.#offset} is ${length} bytes long; ${this.limit} are allowed`);
  }

  /** Exactly `size` bytes that are there, as they came. */
  #take(size: number): Buffer[] {
    const taken: Buffer[] = [];
    let left = size;
    while (left > 0) {
      const first = this.#pieces[0] as Buffer;
      taken.push(first.length > left ? first.subarray(0, left) : first);
      if (first.length > left) this.#pieces[0] = first.subarray(left);
      else this.#pieces.shift();
      left -= Math.min(first.length, left);
    }
    this.#buffered -= size;
    return taken;
  }
}
