/** One frame at a time, as the handshake needs it: bytes are read only while a frame is waited for. */
import type { Duplex } from 'node:stream';
import { FRAME, FrameReader, ProtocolError, encodeFrame, frameName, type Frame, type FrameType } from './frames.ts';

/** Why the listener said no. `unknown-session` ends a resume for good. */
export type DenialCode = 'version' | 'token' | 'unknown-session' | 'offset' | 'busy';

const DENIALS: readonly string[] = ['version', 'token', 'unknown-session', 'offset', 'busy'] satisfies DenialCode[];

export class DeniedError extends Error {
  override readonly name = 'DeniedError';
  readonly code: DenialCode;
  constructor(code: DenialCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** What a handshake frame says. A field that is not what it should be breaks the protocol. */
export class Body {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #frame: string;

  /** @throws ProtocolError if the payload is no JSON object */
  constructor({ type, payload }: Frame) {
    this.#frame = frameName(type);
    let fields: unknown;
    try {
      fields = JSON.parse(payload.toString());
    } catch (cause) {
      throw new ProtocolError(`the body of ${this.#frame} is no JSON`, { cause });
    }
    if (typeof fields !== 'object' || fields === null)
      throw new ProtocolError(`the body of ${this.#frame} is no object`);
    this.#fields = { ...fields };
  }

  text(name: string): string {
    const value = this.#fields[name];
    if (typeof value === 'string') return value;
    throw new ProtocolError(`"${name}" of ${this.#frame} is no text`);
  }

  optionalText(name: string): string | undefined {
    return this.#fields[name] === undefined ? undefined : this.text(name);
  }

  flag(name: string): boolean {
    return this.#fields[name] === true;
  }

  /** A whole number of bytes or a version. */
  count(name: string): number {
    const value = this.#fields[name];
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    throw new ProtocolError(`"${name}" of ${this.#frame} is no whole number`);
  }

  counts(name: string): readonly number[] {
    const value = this.#fields[name];
    return Array.isArray(value) ? value.filter((one) => typeof one === 'number') : [];
  }
}

/** Reads and writes handshake frames on a carrier, which stays the caller's. */
export class FrameExchange {
  readonly #carrier: Duplex;
  readonly #reader = new FrameReader();
  #waiting: PromiseWithResolvers<Frame> | undefined;
  #failure: Error | undefined;

  constructor(carrier: Duplex) {
    this.#carrier = carrier;
    carrier.on('data', this.#read);
    carrier.on('error', this.#fail);
    carrier.once('close', this.#closed);
    carrier.once('end', this.#closed);
  }

  send(type: FrameType, body: object): void {
    this.#carrier.write(encodeFrame(type, 0, Buffer.from(JSON.stringify(body))));
  }

  /** The next frame, which must be of one of these types. @throws DeniedError if it is a DENIED, ProtocolError */
  async next(...types: FrameType[]): Promise<{ type: number; body: Body }> {
    const frame = await this.#wait();
    const body = new Body(frame);
    if (frame.type === FRAME.DENIED) throw toDenial(body);
    if (types.some((type) => type === frame.type)) return { type: frame.type, body };
    throw new ProtocolError(`${frameName(frame.type)} has no place in the handshake`);
  }

  /** Lets go of the carrier, paused, with the bytes that came after the last frame: they are the session's. */
  release(): Buffer {
    this.#carrier.off('data', this.#read);
    this.#carrier.off('error', this.#fail);
    this.#carrier.off('close', this.#closed);
    this.#carrier.off('end', this.#closed);
    this.#carrier.pause();
    return this.#reader.rest();
  }

  #wait(): Promise<Frame> {
    const waiting = Promise.withResolvers<Frame>();
    this.#waiting = waiting;
    if (this.#failure !== undefined) waiting.reject(this.#failure);
    else this.#look();
    this.#carrier.resume();
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
      const frame = this.#reader.next();
      if (frame === undefined) return;
      this.#waiting = undefined;
      waiting.resolve(frame);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  readonly #fail = (error: Error): void => {
    this.#failure ??= error;
    this.#waiting?.reject(error);
  };

  readonly #closed = (): void => this.#fail(new Error('the far side closed during the handshake'));
}

function toDenial(body: Body): DeniedError {
  const code = body.text('code');
  if (!DENIALS.includes(code))
    throw new ProtocolError(`a denial for an unknown reason, ${JSON.stringify(code.slice(0, 40))}`);
  return new DeniedError(code as DenialCode, body.text('message').slice(0, 200));
}
