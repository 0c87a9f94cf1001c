/**
 * Takes WebSocket frames out of a socket's bytes, in whatever pieces they come, and checks all that RFC 6455 demands. A message
 * is handed on as it comes, unmasked in place and not joined: a peer takes no memory by the length that it announces, nor by
 * the number of its fragments.
 */
import { TextDecoder } from 'node:util';
import {
  CLOSE,
  FIN,
  MASKED,
  MOST_CONTROL,
  MOST_HEADER,
  OPCODE,
  RESERVED,
  WebSocketError,
  headerLength,
  payloadLength,
} from './websocket-frames.ts';
import { rotated, unmask } from './websocket-mask.ts';

export interface FrameListener {
  /** A piece of a message. */
  data(piece: Buffer): void;
  /** The message is complete, and has so many bytes. */
  message(length: number): void;
  /** @param payload in memory of its own */
  control(opcode: number, payload: Buffer): void;
}

export interface FrameReaderOptions {
  /** A client masks what it sends; a server must not. */
  readonly fromClient: boolean;
  /** Bytes that a message may have. */
  readonly mostPayload: number;
}

/** Fragments of one message that may be empty: without end they would cost time, and never reach a limit of bytes. */
const MOST_EMPTY = 4096;

export class FrameReader {
  readonly #options: FrameReaderOptions;
  readonly #listener: FrameListener;
  readonly #header = Buffer.alloc(MOST_HEADER);
  /** Bytes of the header that are there. */
  #have = 0;
  readonly #key = Buffer.alloc(4);
  /** Bytes that the payload still misses; nothing while the header is read. */
  #left: number | undefined;
  /** The payload of a control frame. */
  #control: Buffer | undefined;
  /** Bytes of the message whose end has not come. */
  #length: number | undefined;
  /** Its fragments that were empty. */
  #empty = 0;
  /** Checks a text message. */
  #text: TextDecoder | undefined;
  #isClosed = false;

  constructor(options: FrameReaderOptions, listener: FrameListener) {
    this.#options = options;
    this.#listener = listener;
  }

  /** Nothing more is taken, even of a chunk that is being read. */
  close(): void {
    this.#isClosed = true;
  }

  /** @param chunk is the reader's, and its listener's, from now on @throws WebSocketError */
  read(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && !this.#isClosed;)
      at = this.#left === undefined ? this.#readHeader(chunk, at) : this.#readPayload(chunk, at, this.#left);
  }

  // ---- headers

  #readHeader(chunk: Buffer, from: number): number {
    const whole = this.#have < 2 ? 2 : headerLength(this.#header[1] as number);
    const copied = chunk.copy(this.#header, this.#have, from, from + whole - this.#have);
    this.#have += copied;
    if (this.#have >= 2 && this.#have === headerLength(this.#header[1] as number)) this.#begin();
    return from + copied;
  }

  #begin(): void {
    const [first, second] = this.#header as unknown as [number, number];
    const { fromClient } = this.#options;
    if (first & RESERVED) throw new WebSocketError('reserved bits are set');
    if ((second & MASKED) === 0 && fromClient) throw new WebSocketError('a client’s frame without a mask');
    if (second & MASKED && !fromClient) throw new WebSocketError('a server’s frame with a mask');
    if (fromClient) this.#header.copy(this.#key, 0, this.#have - 4, this.#have);
    const length = payloadLength(this.#header);
    if (first & 0x08) this.#beginControl(first, length);
    else this.#beginData(first & 0x0f, length);
    this.#have = 0;
    this.#left = length;
    if (length === 0) this.#finish();
  }

  #beginControl(first: number, length: number): void {
    const opcode = first & 0x0f;
    if (opcode > OPCODE.PONG) throw new WebSocketError(`a frame of the unknown type ${opcode}`);
    if ((first & FIN) === 0) throw new WebSocketError('a control frame in fragments');
    if (length > MOST_CONTROL) throw new WebSocketError(`a control frame of ${length} bytes`);
    this.#control = Buffer.alloc(length);
  }

  #beginData(opcode: number, length: number): void {
    const isContinuation = opcode === OPCODE.CONTINUATION;
    if (opcode > OPCODE.BINARY) throw new WebSocketError(`a frame of the unknown type ${opcode}`);
    if (isContinuation && this.#length === undefined) throw new WebSocketError('a continuation of nothing');
    if (!isContinuation && this.#length !== undefined) throw new WebSocketError('a message within another');
    if (opcode === OPCODE.TEXT) this.#text = new TextDecoder('utf-8', { fatal: true });
    this.#length = (this.#length ?? 0) + length;
    const { mostPayload } = this.#options;
    if (this.#length > mostPayload)
      throw new WebSocketError(`a message of more than ${mostPayload} bytes`, CLOSE.TOO_BIG);
    this.#empty = (isContinuation ? this.#empty : 0) + (length === 0 ? 1 : 0);
    if (this.#empty > MOST_EMPTY)
      throw new WebSocketError(`more than ${MOST_EMPTY} empty fragments of one message`, CLOSE.POLICY);
  }

  // ---- payloads

  #readPayload(chunk: Buffer, at: number, left: number): number {
    const end = Math.min(at + left, chunk.length);
    const piece = chunk.subarray(at, end);
    if (this.#options.fromClient) this.#unmask(piece);
    if (this.#control !== undefined) piece.copy(this.#control, this.#control.length - left);
    else {
      this.#checkText(piece);
      this.#listener.data(piece);
    }
    this.#left = left - piece.length;
    if (this.#left === 0) this.#finish();
    return end;
  }

  #unmask(piece: Buffer): void {
    unmask(piece, this.#key);
    if (piece.length % 4 !== 0) this.#key.set(rotated(this.#key, piece.length)); // it goes on where the piece ends
  }

  /** @param piece nothing at the end of the message */
  #checkText(piece?: Buffer): void {
    try {
      this.#text?.decode(piece, { stream: piece !== undefined });
    } catch {
      throw new WebSocketError('a text message that is not UTF-8', CLOSE.NO_UTF8);
    }
  }

  #finish(): void {
    const [control, length = 0, first = 0] = [this.#control, this.#length, this.#header[0]];
    this.#left = undefined;
    this.#control = undefined;
    if (control !== undefined) return this.#listener.control(first & 0x0f, control);
    if ((first & FIN) === 0) return;
    this.#checkText();
    this.#text = undefined;
    this.#length = undefined;
    this.#listener.message(length);
  }
}
