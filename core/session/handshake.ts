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
import { DeniedError, FrameExchange, type Body } from './exchange.ts';
import { FRAME, ProtocolError } from './frames.ts';
import type { Admitted } from '../../plugins/contract/index.ts';

export const VERSION = 1;

/** What identifies a session to both sides. The secret travels once, in PROVED. */
export interface SessionKey {
  readonly id: string;
  readonly secret: Buffer;
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
  /** Shown with every carrier, where the carrier does not show it itself. */
  readonly token?: string | undefined;
  /** End what is left of this identity's sessions without a carrier. */
  readonly takeOver?: boolean;
  /** An old session to go on with. */
  readonly resume?: { readonly key: SessionKey; readonly processed: number };
}

/** @throws DeniedError, ProtocolError, or what broke the carrier; the caller frees it. */
export async function greetAsDialer(carrier: Duplex, { token, takeOver, resume }: DialerGreeting): Promise<Greeted> {
  const exchange = new FrameExchange(carrier);
  const nonce = randomBytes(16).toString('base64');
  exchange.send(FRAME.HELLO, { versions: [VERSION], nonce });
  const { body: hello } = await exchange.next(FRAME.HELLO);
  const [version, theirNonce] = [hello.count('version'), hello.text('nonce')];
  if (version !== VERSION) throw new ProtocolError(`the far side speaks version ${version}, and we ${VERSION}`);
  if (resume === undefined) {
    exchange.send(FRAME.PROVE, { token, ...(takeOver && { takeOver }) });
    const { body } = await exchange.next(FRAME.PROVED);
    const key = { id: body.text('session'), secret: Buffer.from(body.text('secret'), 'base64') };
    return { key, peerProcessed: 0, early: exchange.release() };
  }
  const { key, processed } = resume;
  const proof = mac(key.secret, 'dialer', key.id, nonce, theirNonce, processed);
  exchange.send(FRAME.RESUME, { session: key.id, processed, mac: proof.toString('base64'), token });
  const { body } = await exchange.next(FRAME.RESUMED);
  const peerProcessed = body.count('processed');
  const wanted = mac(key.secret, 'listener', key.id, nonce, theirNonce, processed, peerProcessed);
  if (!isSame(body.text('mac'), wanted))
    throw new ProtocolError('the far side could not prove that it knows the session');
  return { key, peerProcessed, early: exchange.release() };
}

/** What the listening side knows about identities and sessions. */
export interface SessionDirectory {
  /** Who shows this token (`undefined`: none) on this carrier, if they may have a session. */
  admit(token: string | undefined): Admitted | undefined;
  /** The secret of a session that they can resume: one of their own. */
  secretOf(id: string, who: Admitted): Buffer | undefined;
  /** What we have processed of it, and whether the peer can be at this offset. Called only after the proof. */
  processedOf(id: string): number;
  canResumeFrom(id: string, offset: number): boolean;
}

export interface GreetedDialer extends Greeted {
  readonly resumed: boolean;
  readonly who: Admitted;
  readonly takeOver: boolean;
}

/** Answers a dialer. @throws DeniedError after telling the far side, ProtocolError, or what broke the carrier. */
export async function greetAsListener(carrier: Duplex, directory: SessionDirectory): Promise<GreetedDialer> {
  const exchange = new FrameExchange(carrier);
  try {
    return await answer(exchange, directory);
  } catch (error) {
    if (error instanceof DeniedError) exchange.send(FRAME.DENIED, { code: error.code, message: error.message });
    throw error;
  }
}

async function answer(exchange: FrameExchange, directory: SessionDirectory): Promise<GreetedDialer> {
  const { body: hello } = await exchange.next(FRAME.HELLO);
  const offered = hello.counts('versions');
  if (!offered.includes(VERSION)) {
    throw new DeniedError(
      'version',
      `versions ${JSON.stringify(offered)} were offered, and this side speaks ${VERSION}`,
    );
  }
  const nonces = [hello.text('nonce'), randomBytes(16).toString('base64')] as const;
  exchange.send(FRAME.HELLO, { version: VERSION, nonce: nonces[1] });
  const { type, body } = await exchange.next(FRAME.PROVE, FRAME.RESUME);
  const who = directory.admit(body.optionalText('token'));
  if (who === undefined) throw new DeniedError('token', 'not allowed');
  if (type === FRAME.RESUME) return answerResume(exchange, directory, body, nonces, who);
  const key = { id: randomBytes(16).toString('hex'), secret: randomBytes(32) };
  exchange.send(FRAME.PROVED, { session: key.id, secret: key.secret.toString('base64') });
  const takeOver = body.flag('takeOver');
  return { key, peerProcessed: 0, early: exchange.release(), resumed: false, who, takeOver };
}

/** An id alone proves nothing: what is wrong with it, and what we know of it, is told only to who has the secret. */
function answerResume(
  exchange: FrameExchange,
  directory: SessionDirectory,
  body: Body,
  nonces: readonly [string, string],
  who: Admitted,
): GreetedDialer {
  const [id, processed] = [body.text('session'), body.count('processed')];
  const secret = directory.secretOf(id, who);
  if (secret === undefined || !isSame(body.text('mac'), mac(secret, 'dialer', id, ...nonces, processed))) {
    throw new DeniedError('unknown-session', 'unknown session');
  }
  if (!directory.canResumeFrom(id, processed)) {
    throw new DeniedError('offset', `offset ${processed} cannot be resumed from`);
  }
  const ours = directory.processedOf(id);
  const proof = mac(secret, 'listener', id, ...nonces, processed, ours);
  exchange.send(FRAME.RESUMED, { processed: ours, mac: proof.toString('base64') });
  const key = { id, secret };
  return { key, peerProcessed: processed, early: exchange.release(), resumed: true, who, takeOver: false };
}
