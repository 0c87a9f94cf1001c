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
 * What the macs prove is in proof.ts. A carrier is replaced only after the proof. Until then frames are small, and there are
 * deadlines, for each message and for all, that arriving bytes do not extend (exchange.ts).
 */
import type { Duplex } from 'node:stream';
import { DeniedError } from './denial.ts';
import { FrameExchange, HANDSHAKE_DEADLINES, OtherProtocolError, type HandshakeDeadlines } from './exchange.ts';
import { FRAME, ProtocolError, printable } from './frames.ts';
import type { Body } from './handshake-body.ts';
import {
  SECRET_BYTES,
  VERSION,
  dialerProof,
  isProof,
  listenerProof,
  newKey,
  newNonce,
  type Nonces,
  type SessionKey,
} from './proof.ts';
import type { Admitted } from '../../plugins/contract/index.ts';

export type { SessionKey } from './proof.ts';

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

/** @throws DeniedError, OtherProtocolError, ProtocolError, or what broke the carrier; the caller frees it. */
export async function greetAsDialer(
  carrier: Duplex,
  { token, takeOver, resume }: DialerGreeting,
  deadlines = HANDSHAKE_DEADLINES,
): Promise<Greeted> {
  const exchange = new FrameExchange(carrier, deadlines);
  try {
    const nonce = newNonce();
    exchange.send(FRAME.HELLO, { versions: [VERSION], nonce });
    const { body: hello } = await exchange.next(FRAME.HELLO);
    const nonces: Nonces = [nonce, hello.text('nonce')];
    const version = hello.count('version');
    if (version !== VERSION)
      throw new ProtocolError(`the far side speaks version ${version}, and this side ${VERSION}`);
    if (resume !== undefined) return await proveResume(exchange, nonces, resume, token);
    exchange.send(FRAME.PROVE, { token, ...(takeOver && { takeOver }) });
    const { body } = await exchange.next(FRAME.PROVED);
    const key = { id: body.text('session'), secret: body.bytes('secret', SECRET_BYTES) };
    return { key, peerProcessed: 0, early: exchange.release() };
  } finally {
    exchange.release();
  }
}

async function proveResume(
  exchange: FrameExchange,
  nonces: Nonces,
  { key, processed }: NonNullable<DialerGreeting['resume']>,
  token: string | undefined,
): Promise<Greeted> {
  const mac = dialerProof(key, nonces, processed).toString('base64');
  exchange.send(FRAME.RESUME, { session: key.id, processed, mac, token });
  const { body } = await exchange.next(FRAME.RESUMED);
  const peerProcessed = body.count('processed');
  if (!isProof(body.text('mac'), listenerProof(key, nonces, processed, peerProcessed)))
    throw new ProtocolError('the far side could not prove that it knows the session');
  return { key, peerProcessed, early: exchange.release() };
}

/** What the listening side knows about identities and sessions. */
export interface SessionDirectory {
  /** Who shows this token (`undefined`: none) on this carrier, if they may have a session. */
  admit(token: string | undefined): Admitted | undefined;
  /** The secret of a session that they can resume: one of their own. */
  secretOf(id: string, who: Admitted): Buffer | undefined;
  /** Whether the peer can be at this offset. Called only after the proof, as is what follows. */
  canResumeFrom(id: string, offset: number): boolean;
  /** What we have processed of it. From now on nothing more is, until it goes on over this carrier. */
  processedOf(id: string): number;
}

export interface GreetedDialer extends Greeted {
  readonly resumed: boolean;
  readonly who: Admitted;
  readonly takeOver: boolean;
}

/** For a person, or a program of another kind, that has come to the wrong door. */
const WRONG_DOOR = 'this address speaks the sluice session; dial it with a sluice, session=yes\n';

/** Answers a dialer. @throws DeniedError after telling the far side, ProtocolError, or what broke the carrier. */
export async function greetAsListener(
  carrier: Duplex,
  directory: SessionDirectory,
  deadlines: HandshakeDeadlines = HANDSHAKE_DEADLINES,
): Promise<GreetedDialer> {
  const exchange = new FrameExchange(carrier, deadlines);
  try {
    return await answer(exchange, directory);
  } catch (error) {
    if (error instanceof DeniedError) exchange.send(FRAME.DENIED, { code: error.code, message: error.message });
    if (error instanceof OtherProtocolError && carrier.writable) carrier.write(WRONG_DOOR);
    throw error;
  } finally {
    exchange.release();
  }
}

async function answer(exchange: FrameExchange, directory: SessionDirectory): Promise<GreetedDialer> {
  const { body: hello } = await exchange.next(FRAME.HELLO);
  const offered = hello.counts('versions');
  if (!offered.includes(VERSION)) {
    const versions = printable(JSON.stringify(offered), 40);
    throw new DeniedError('version', `versions ${versions} were offered, and this side speaks ${VERSION}`);
  }
  const nonces: Nonces = [hello.text('nonce'), newNonce()];
  exchange.send(FRAME.HELLO, { version: VERSION, nonce: nonces[1] });
  const { type, body } = await exchange.next(FRAME.PROVE, FRAME.RESUME);
  const who = directory.admit(body.optionalText('token'));
  if (who === undefined) throw new DeniedError('token', 'not allowed');
  if (type === FRAME.RESUME) return answerResume(exchange, directory, body, nonces, who);
  const key = newKey();
  exchange.send(FRAME.PROVED, { session: key.id, secret: key.secret.toString('base64') });
  const takeOver = body.flag('takeOver');
  return { key, peerProcessed: 0, early: exchange.release(), resumed: false, who, takeOver };
}

/** An id alone proves nothing: what is wrong with it, and what we know of it, is told only to who has the secret. */
function answerResume(
  exchange: FrameExchange,
  directory: SessionDirectory,
  body: Body,
  nonces: Nonces,
  who: Admitted,
): GreetedDialer {
  const [id, processed, proof] = [body.text('session'), body.count('processed'), body.text('mac')];
  const secret = directory.secretOf(id, who);
  if (secret === undefined || !isProof(proof, dialerProof({ id, secret }, nonces, processed)))
    throw new DeniedError('unknown-session', 'unknown session');
  if (!directory.canResumeFrom(id, processed))
    throw new DeniedError('offset', `offset ${processed} cannot be resumed from`);
  const ours = directory.processedOf(id);
  const mac = listenerProof({ id, secret }, nonces, processed, ours).toString('base64');
  exchange.send(FRAME.RESUMED, { processed: ours, mac });
  const key = { id, secret };
  return { key, peerProcessed: processed, early: exchange.release(), resumed: true, who, takeOver: false };
}
