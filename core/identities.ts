/**
 * Who is this: the one place that turns what a far end shows into an identity of the configuration. What that identity
 * may do is `authorize`'s to say (access.ts).
 *
 * Tokens are compared as hashes, all of them in the same time whichever fits, so that nothing can be guessed by a clock.
 */
import { timingSafeEqual } from 'node:crypto';
import { hashToken } from './token.ts';
import type { Identity } from '../plugins/contract/index.ts';

/** What is kept of an identity's token. */
export interface KnownToken {
  readonly identity: Identity;
  /** SHA-256. */
  readonly hash: Buffer;
}

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
    const hash = hashToken(token ?? '');
    let found: Identity | undefined;
    for (const { hash: known, identity } of this.#tokens) if (timingSafeEqual(known, hash)) found = identity;
    return token === undefined ? undefined : found;
  }
}
