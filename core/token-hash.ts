/** What a server keeps of a token. Apart from token.ts, because `node:crypto` takes 5 ms to load, and most who name a token need none of it. */
import { createHash } from 'node:crypto';
import { PRINTABLE, takeToken, type TokenReference } from './token.ts';

const HASHED = /^sha256:([0-9a-f]{64})$/;

/** SHA-256 of a token, as a server keeps it: of the token in the file, or given there as `sha256:HEX`. @throws SluiceError SLUICE_TOKEN */
export const readTokenHash = (reference: TokenReference): Promise<Buffer> =>
  takeToken(
    reference,
    (line) => {
      const hex = HASHED.exec(line)?.[1];
      if (hex !== undefined) return Buffer.from(hex, 'hex');
      return PRINTABLE.test(line) ? hashToken(line) : undefined;
    },
    '16 to 256 printable characters, or sha256:HEX',
  );

export const hashToken = (token: string): Buffer => createHash('sha256').update(token).digest();
