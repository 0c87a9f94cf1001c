/**
 * One frame at a time, as the handshake needs it: bytes are read only while a frame is waited for, and there are deadlines,
 * for each message and for all, that arriving bytes do not extend.
 *
 * A far side that speaks something else is found at its first bytes, and whatever it said is kept for the message.
 */
import type { Duplex } from 'node:stream';
import { toDenial } from './denial.ts';
import { FrameReader } from './frame-reader.ts';
import { FRAME, ProtocolError, encodeFrame, frameName, printable, type Frame, type FrameType } from './frames.ts';
import { Body } from './handshake-body.ts';

/** ms, absolute. */
export interface HandshakeDeadlines {
  readonly message: number;
  readonly whole: number;
}

export const HANDSHAKE_DEADLINES: HandshakeDeadlines = { message: 10_000, whole: 15_000 };

/** The far side does not speak the session: what it said is no frame, or it said nothing. */
export class OtherProtocolError extends ProtocolError {}

/** Characters of what it said that a message shows. */
const MOST_SHOWN = 60;

/** A first frame has at most 4 KiB, so it begins with zeros: nothing that is readable does, and no TLS either. */
const isFrameStart = (bytes: Buffer): boolean => bytes.length === 0 || bytes[0] === 0;

/** Reads and writes handshake frames on a carrier, which stays the caller's. */
export class FrameExchange {
  readonly #carrier: Duplex;
  readonly #deadlines: HandshakeDeadlines;
  readonly #reader = new FrameReader();
  readonly #wholeTimer: NodeJS.Timeout;
  #messageTimer: NodeJS.Timeout | undefined;
  #waiting: PromiseWithResolvers<Frame> | undefined;
  #failure: Error | undefined;
  #isFirst = true;

  constructor(carrier: Duplex, deadlines: HandshakeDeadlines) {
    this.#carrier = carrier;
    this.#deadlines = deadlines;
    this.#wholeTimer = this.#startTimer(deadlines.whole, 'the handshake took longer than');
    carrier.on('data', this.#read);
    carrier.on('error', this.#fail);
    carrier.once('close', this.#closed);
    carrier.once('end', this.#closed);
  }

  send(type: FrameType, body: object): void {
    if (this.#carrier.writable) this.#carrier.write(encodeFrame(type, 0, Buffer.from(JSON.stringify(body))));
  }

  /**
   * The next frame, which must be of one of these types.
   *
   * @throws DeniedError if it is a DENIED, OtherProtocolError if it is the first and no frame, ProtocolError
   */
  async next(...types: FrameType[]): Promise<{ type: number; body: Body }> {
    const frame = await this.#wait();
    if (!types.some((type) => type === frame.type) && frame.type !== FRAME.DENIED)
      throw new ProtocolError(`${frameName(frame.type)} has no place in the handshake`);
    const body = new Body(frame);
    if (frame.type === FRAME.DENIED) throw toDenial(body);
    return { type: frame.type, body };
  }

  /** Lets go of the carrier, paused, with the bytes that came after the last frame: they are the session's. */
  release(): Buffer {
    this.#stop();
    this.#carrier.pause();
    return this.#reader.rest();
  }

  #stop(): void {
    clearTimeout(this.#wholeTimer);
    clearTimeout(this.#messageTimer);
    this.#carrier.off('data', this.#read);
    this.#carrier.off('close', this.#closed);
    this.#carrier.off('end', this.#closed);
    if (!this.#carrier.listeners('error').includes(ignore)) this.#carrier.on('error', ignore); // until it has another owner
    this.#carrier.off('error', this.#fail);
  }

  #startTimer(milliseconds: number, what: string): NodeJS.Timeout {
    return setTimeout(() => this.#fail(new Error(`${what} ${milliseconds / 1000} s`)), milliseconds);
  }

  #wait(): Promise<Frame> {
    const waiting = Promise.withResolvers<Frame>();
    if (this.#failure !== undefined) waiting.reject(this.#failure);
    else {
      this.#waiting = waiting;
      this.#messageTimer = this.#startTimer(this.#deadlines.message, 'no answer to the handshake within');
      this.#look();
      this.#carrier.resume();
    }
    return waiting.promise;
  }

  readonly #read = (chunk: Buffer): void => {
    this.#reader.feed(chunk);
    this.#look();
  };

  /** Takes a frame only when one is waited for: what follows the last one is not ours to read, nor to hold. */
  #look(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return void this.#carrier.pause();
    try {
      if (this.#isFirst && !isFrameStart(this.#reader.rest())) throw new Error('no frame');
      const frame = this.#reader.next();
      if (frame === undefined) return;
      this.#isFirst = false;
      this.#waiting = undefined;
      clearTimeout(this.#messageTimer);
      waiting.resolve(frame);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  readonly #fail = (error: Error): void => {
    this.#failure ??= this.#isFirst ? this.#explain(error) : error;
    this.#stop();
    this.#waiting?.reject(this.#failure);
    this.#waiting = undefined;
  };

  /** Nothing that came so far was a frame: what came is the best explanation, but for a carrier that broke before. */
  #explain(cause: Error): Error {
    const said = this.#reader.rest();
    if (said.length === 0 && 'code' in cause) return cause;
    const how = said.length === 0 ? `it said nothing: ${cause.message}` : `it said ${show(said)}`;
    return new OtherProtocolError(`the far side does not speak the session: ${how}`, { cause });
  }

  readonly #closed = (): void => this.#fail(new Error('it closed during the handshake'));
}

const isText = (bytes: Buffer): boolean => /^[\t\r\n -~]*$/.test(bytes.toString('latin1'));

const show = (said: Buffer): string =>
  isText(said)
    ? JSON.stringify(printable(said.toString('latin1'), MOST_SHOWN))
    : `the bytes ${said.toString('hex', 0, 16)}…`;

const ignore = (): void => {};
