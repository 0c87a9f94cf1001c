/**
 * The first frames on a carrier: who is there, and is it a new session or an old one on a new carrier.
 *
 *     dialer                              listener
 *     HELLO  versions, nonce          →
 *                                     ←   HELLO   version, nonce            or DENIED
 *     PROVE  token                    →                                     a new session
 *                                     ←   PROVED  session, secret           or DENIED
 *  or
 *     RESUME session, processed, mac  →                                     an old one
 *                                     ←   RESUMED processed, mac            or DENIED
 *
 * The macs are HMAC-SHA256 by the session's secret over both nonces, both offsets, the version and who speaks: an old
 * one proves nothing, and a carrier is replaced only after the proof. Until then frames are small, and the whole exchange
 * has a deadline that arriving bytes do not extend.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { FRAME, FrameReader, ProtocolError, encodeFrame, frameName, type Frame, type FrameType } from './frames.ts';

export const VERSION = 1;
/** ms for one answer, and for the whole exchange. */
export const ANSWER_DEADLINE = 10_000;
export const HANDSHAKE_DEADLINE = 15_000;

/** Why the listener said no. `unknown-session` ends a resume for good; `token` is told without detail that helps a guesser. */
export type DenialCode = 'version' | 'token' | 'unknown-session' | 'offset' | 'busy';

export class DeniedError extends Error {
  override readonly name = 'DeniedError';
  readonly code: DenialCode;
  constructor(code: DenialCode, message: string) {
    super(message);
    this.code = code;
  }
}

interface Hello {
  readonly versions?: readonly number[];
  readonly version?: number;
  readonly nonce: string;
}

/** What identifies a session to both sides. The secret never travels but once, in PROVED. */
export interface SessionKey {
  readonly id: string;
  readonly secret: Buffer;
}

/** Reads one frame after another; what follows the last one belongs to the session. */
class FrameExchange {
  readonly #carrier: Duplex;
  readonly #reader = new FrameReader();
  #waiting: PromiseWithResolvers<Frame> | undefined;
  #failure: Error | undefined;

  constructor(carrier: Duplex) {
    this.#carrier = carrier;
    carrier.on('data', this.#read);
    carrier.once('error', this.#fail);
    carrier.once('close', this.#closed);
    carrier.once('end', this.#closed);
  }

  send(type: FrameType, body: object): void {
    this.#carrier.write(encodeFrame(type, 0, Buffer.from(JSON.stringify(body))));
  }

  /** The next frame, which must be of one of these types; a DENIED is thrown. */
  async next<T>(...types: FrameType[]): Promise<{ type: number; body: T }> {
    const frame = await this.#wait();
    const body = parse(frame) as T;
    if (frame.type === FRAME.DENIED) {
      const { code, message } = body as { code: DenialCode; message: string };
      throw new DeniedError(code, String(message).slice(0, 200));
    }
    if (!(types as number[]).includes(frame.type))
      throw new ProtocolError(`got ${frameName(frame.type)} in the handshake`);
    return { type: frame.type, body };
  }

  /** Lets go of the carrier, paused; the bytes that came after the last frame are the session's. */
  release(): Buffer {
    this.#carrier.off('data', this.#read);
    this.#carrier.off('error', this.#fail);
    this.#carrier.off('close', this.#closed);
    this.#carrier.off('end', this.#closed);
    this.#carrier.pause();
    return this.#reader.rest();
  }

  #wait(): Promise<Frame> {
    this.#waiting = Promise.withResolvers<Frame>();
    if (this.#failure !== undefined) this.#waiting.reject(this.#failure);
    else this.#look();
    return this.#waiting.promise;
  }

  readonly #read = (chunk: Buffer): void => {
    this.#reader.feed(chunk);
    this.#look();
  };

  /** Takes a frame only when one is waited for: what follows the last one is not ours to read. */
  #look(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
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

function parse({ type, payload }: Frame): unknown {
  try {
    const body: unknown = JSON.parse(payload.toString());
    if (typeof body === 'object' && body !== null) return body;
  } catch {
    // told below: what it is not matters more than where it broke
  }
  throw new ProtocolError(`the body of ${frameName(type)} is no JSON object`);
}

const mac = (secret: Buffer, ...parts: (string | number)[]): Buffer =>
  createHmac('sha256', secret)
    .update(JSON.stringify(['sluice.1', VERSION, ...parts]))
    .digest();

const isSame = (given: string, wanted: Buffer): boolean => {
  const bytes = Buffer.from(given, 'base64');
  return bytes.length === wanted.length && timingSafeEqual(bytes, wanted);
};

/** The carrier as the session gets it: paused, with the bytes that were read too far. */
export interface Greeted {
  readonly key: SessionKey;
  /** Bytes of ours that the peer has processed; 0 for a new session. */
  readonly peerProcessed: number;
  readonly early: Buffer;
}

export interface DialerGreeting {
  readonly token?: string | undefined;
  /** An old session to go on with. */
  readonly resume?: { readonly key: SessionKey; readonly processed: number };
}

/** @throws DeniedError, ProtocolError, or what broke the carrier; the caller frees it. */
export async function greetAsDialer(carrier: Duplex, { token, resume }: DialerGreeting): Promise<Greeted> {
  const exchange = new FrameExchange(carrier);
  const nonce = randomBytes(16).toString('base64');
  exchange.send(FRAME.HELLO, { versions: [VERSION], nonce });
  const { body: theirs } = await exchange.next<Hello>(FRAME.HELLO);
  if (theirs.version !== VERSION)
    throw new ProtocolError(`the far side speaks version ${theirs.version}, and we ${VERSION}`);
  if (resume === undefined) {
    exchange.send(FRAME.PROVE, token === undefined ? {} : { token });
    const { body } = await exchange.next<{ session: string; secret: string }>(FRAME.PROVED);
    const key = { id: String(body.session), secret: Buffer.from(String(body.secret), 'base64') };
    return { key, peerProcessed: 0, early: exchange.release() };
  }
  const { key, processed } = resume;
  const proof = mac(key.secret, 'dialer', key.id, nonce, theirs.nonce, processed);
  exchange.send(FRAME.RESUME, { session: key.id, processed, mac: proof.toString('base64') });
  const { body } = await exchange.next<{ processed: number; mac: string }>(FRAME.RESUMED);
  const wanted = mac(key.secret, 'listener', key.id, nonce, theirs.nonce, processed, body.processed);
  if (!isSame(body.mac, wanted)) throw new ProtocolError('the far side could not prove that it knows the session');
  return { key, peerProcessed: body.processed, early: exchange.release() };
}

/** What the listening side knows about sessions. */
export interface SessionDirectory {
  /** Whether the token is good for a new session; `undefined` is no token. */
  authenticate(token: string | undefined): boolean;
  /** The secret of a session that can be resumed. */
  secretOf(id: string): Buffer | undefined;
  /** What we have processed of it, and whether the peer can be at this offset. Called only after the proof. */
  processedOf(id: string): number;
  canResumeFrom(id: string, offset: number): boolean;
}

/** Answers a dialer. @throws DeniedError after telling the far side, ProtocolError, or what broke the carrier. */
export async function greetAsListener(
  carrier: Duplex,
  directory: SessionDirectory,
): Promise<Greeted & { resumed: boolean }> {
  const exchange = new FrameExchange(carrier);
  const deny = (code: DenialCode, message: string): never => {
    exchange.send(FRAME.DENIED, { code, message });
    throw new DeniedError(code, message);
  };
  const { body: theirs } = await exchange.next<Hello>(FRAME.HELLO);
  if (!theirs.versions?.includes(VERSION))
    deny('version', `versions ${JSON.stringify(theirs.versions)} were offered, and this side speaks ${VERSION}`);
  const nonce = randomBytes(16).toString('base64');
  exchange.send(FRAME.HELLO, { version: VERSION, nonce });
  const { type, body } = await exchange.next<{ token?: string; session?: string; processed?: number; mac?: string }>(
    FRAME.PROVE,
    FRAME.RESUME,
  );
  if (type === FRAME.PROVE) {
    if (!directory.authenticate(body.token)) deny('token', 'not allowed');
    const key = { id: randomBytes(16).toString('hex'), secret: randomBytes(32) };
    exchange.send(FRAME.PROVED, { session: key.id, secret: key.secret.toString('base64') });
    return { key, peerProcessed: 0, early: exchange.release(), resumed: false };
  }
  const { session: id = '', processed = -1, mac: proof = '' } = body;
  const secret = directory.secretOf(id) ?? deny('unknown-session', 'unknown session');
  if (!isSame(proof, mac(secret, 'dialer', id, theirs.nonce, nonce, processed)))
    deny('unknown-session', 'unknown session');
  if (!directory.canResumeFrom(id, processed)) deny('offset', `offset ${processed} cannot be resumed from`);
  const ours = directory.processedOf(id);
  const answer = mac(secret, 'listener', id, theirs.nonce, nonce, processed, ours);
  exchange.send(FRAME.RESUMED, { processed: ours, mac: answer.toString('base64') });
  return { key: { id, secret }, peerProcessed: processed, early: exchange.release(), resumed: true };
}
