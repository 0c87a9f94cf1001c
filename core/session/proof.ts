/**
 * Proof that one knows a session: HMAC-SHA256 by its secret over who speaks, the session, both nonces and the offsets.
 * Pure. An old proof proves nothing, because the nonces are new; one side's is not the other's, because it says whose it is.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

export const VERSION = 1;
const ID_BYTES = 16;
export const SECRET_BYTES = 32;

/** What identifies a session to both sides. The secret travels once, in PROVED. */
export interface SessionKey {
  readonly id: string;
  readonly secret: Buffer;
}

/** Of the dialer, and of the listener, for this handshake. */
export type Nonces = readonly [dialer: string, listener: string];

export const newNonce = (): string => randomBytes(16).toString('base64');

export const newKey = (): SessionKey => ({
  id: randomBytes(ID_BYTES).toString('hex'),
  secret: randomBytes(SECRET_BYTES),
});

const mac = (secret: Buffer, ...parts: (string | number)[]): Buffer =>
  createHmac('sha256', secret)
    .update(JSON.stringify(['sluice.1', VERSION, ...parts]))
    .digest();

export const dialerProof = ({ id, secret }: SessionKey, nonces: Nonces, processed: number): Buffer =>
  mac(secret, 'dialer', id, ...nonces, processed);

export const listenerProof = ({ id, secret }: SessionKey, nonces: Nonces, theirs: number, ours: number): Buffer =>
  mac(secret, 'listener', id, ...nonces, theirs, ours);

export const isProof = (given: string, wanted: Buffer): boolean => {
  const bytes = Buffer.from(given, 'base64');
  return bytes.length === wanted.length && timingSafeEqual(bytes, wanted);
};
