/** The listening side of the handshake (handshake.ts). */
import type { Duplex } from 'node:stream';
import { DeniedError } from './denial.ts';
import { FrameExchange, HANDSHAKE_DEADLINES, OtherProtocolError, type HandshakeDeadlines } from './exchange.ts';
import { FRAME, printable } from './frames.ts';
import type { Greeted } from './greet-dialer.ts';
import type { Body } from './handshake-body.ts';
import { WRONG_DOOR } from './wrong-door.ts';
import { VERSION, dialerProof, isProof, listenerProof, newKey, newNonce, type Nonces } from './proof.ts';
import type { Admitted } from '../../plugins/contract/index.ts';

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
  /** ms after which the dialer will not come back; `undefined` if it did not say. */
  readonly detachedLife: number | undefined;
}

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
  const [takeOver, detachedLife] = [body.flag('takeOver'), body.optionalCount('detachedLife')];
  return { key, peerProcessed: 0, early: exchange.release(), resumed: false, who, takeOver, detachedLife };
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
  const early = exchange.release();
  return { key, peerProcessed: processed, early, resumed: true, who, takeOver: false, detachedLife: undefined };
}
