/** The dialing side of the handshake (handshake.ts). */
import type { Duplex } from 'node:stream';
import { FrameExchange, HANDSHAKE_DEADLINES } from './exchange.ts';
import { FRAME, ProtocolError } from './frames.ts';
import {
  SECRET_BYTES,
  VERSION,
  dialerProof,
  isProof,
  listenerProof,
  newNonce,
  type Nonces,
  type SessionKey,
} from './proof.ts';

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
  /** ms that the far side need not keep the session longer than, without a carrier. */
  readonly detachedLife?: number;
  readonly resume?: { readonly key: SessionKey; readonly processed: number };
}

/** @throws DeniedError, OtherProtocolError, ProtocolError, or what broke the carrier; the caller frees it. */
export async function greetAsDialer(
  carrier: Duplex,
  { token, takeOver, detachedLife, resume }: DialerGreeting,
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
    exchange.send(FRAME.PROVE, { token, detachedLife, ...(takeOver && { takeOver }) });
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
