/**
 * Who is this: the one place that turns what a far end shows into an identity of the configuration. What that identity
 * may do is `authorize`'s to say (access.ts).
 *
 * Tokens are compared as hashes, all of them in the same time whichever fits, so that nothing can be guessed by a clock.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Identity } from '../plugins/contract/index.ts';

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

/** What is kept of an identity's token. */
export interface KnownToken {
  readonly identity: Identity;
  /** SHA-256. */
  readonly hash: Buffer;
}

export const hashToken = sha256;

export class Identities {
  readonly #tokens: readonly KnownToken[];

  constructor(tokens: readonly KnownToken[] = []) {
    this.#tokens = tokens;
  }

  names(): string[] {
    return this.#tokens.map(({ identity }) => identity.name);
  }

  /** Whose token it is; `undefined` for nobody's. */
  identify(token: string | undefined): Identity | undefined {
    const hash = sha256(token ?? '');
    const matches = this.#tokens.filter((known) => timingSafeEqual(known.hash, hash));
    return token === undefined ? undefined : matches[0]?.identity;
  }
}
