/**
 * Who is this: the one place that turns what a far end shows into an identity of the configuration. What that identity
 * may do is `authorize`'s to say (access.ts).
 *
 * - An identity is who shows everything that its entry names: with `token` and `pin`, both.
 * - Whoever fits two entries, or shows a token that is not the entry's own, is nobody: two proofs that disagree prove nothing.
 * - Tokens are compared as hashes, all of them in the same time whichever fits, so that nothing can be guessed by a clock.
 *   The token itself is not kept: an identity remembers what proved it, to be asked for again after a reload.
 */
import { timingSafeEqual } from 'node:crypto';
import type { IdentityLimits } from './admission/limits.ts';
import { hashToken } from './token-hash.ts';
import type { ClientCertificate, Credentials, Identity, Proof, UnixPeer } from '../plugins/contract/index.ts';

/** What is kept of an identity. Without anything that proves it (revoked) it is nobody. */
export interface Known {
  readonly identity: Identity;
  /** SHA-256 of its token. */
  readonly hash?: Buffer | undefined;
  /** Public keys of its certificate: one of them. */
  readonly pin?: readonly string[] | undefined;
  /** DNS names, or SPIFFE URIs, of a certificate that an authority of the source has signed: one of them. */
  readonly san?: readonly string[] | undefined;
  readonly spiffe?: readonly string[] | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** What it has of its own instead of the limits of all. */
  readonly limits?: Partial<IdentityLimits> | undefined;
}

/** What a far end has shown, without the token. */
interface Evidence {
  readonly hash: Buffer | undefined;
  readonly certificate: ClientCertificate | undefined;
  readonly unix: UnixPeer | undefined;
}

/** What proved an identity, by the object that `identify` made. */
const evidenceOf = new WeakMap<Identity, Evidence>();

const hasName = ({ certificate }: Evidence, names: readonly string[]): boolean =>
  certificate?.names.some((name) => names.includes(name)) === true && certificate.isTrusted();

/** SPIFFE: exactly one such URI stands in a certificate, or it is none. */
function hasSpiffe({ certificate }: Evidence, ids: readonly string[]): boolean {
  const [id, ...others] = certificate?.uris.filter((uri) => uri.startsWith('spiffe://')) ?? [];
  return id !== undefined && others.length === 0 && ids.includes(id) && certificate?.isTrusted() === true;
}

/** What an entry asks for, each with whether it was shown. */
function* asked(known: Known, evidence: Evidence): Generator<[Proof, boolean]> {
  const { hash, pin, san, spiffe, uid, gid } = known;
  if (hash !== undefined) yield ['token', evidence.hash !== undefined && timingSafeEqual(hash, evidence.hash)];
  if (pin !== undefined) yield ['pin', evidence.certificate !== undefined && pin.includes(evidence.certificate.pin)];
  if (san !== undefined) yield ['san', hasName(evidence, san)];
  if (spiffe !== undefined) yield ['spiffe', hasSpiffe(evidence, spiffe)];
  if (uid !== undefined) yield ['uid', evidence.unix?.uid === uid];
  if (gid !== undefined) yield ['gid', evidence.unix?.gid === gid];
}

const NOTHING: Evidence = { hash: undefined, certificate: undefined, unix: undefined };

export class Identities {
  readonly #known: readonly Known[];
  readonly #limits: ReadonlyMap<string, Partial<IdentityLimits>>;

  constructor(known: readonly Known[] = []) {
    this.#known = known;
    this.#limits = new Map(known.flatMap(({ identity, limits }) => (limits ? [[identity.name, limits]] : [])));
  }

  names(): string[] {
    return this.#known.map(({ identity }) => identity.name);
  }

  /** What an identity proves itself by; `undefined` for a name that is nobody's. */
  proofsOf(name: string): readonly Proof[] | undefined {
    const known = this.#known.find(({ identity }) => identity.name === name);
    return known && [...asked(known, NOTHING)].map(([proof]) => proof);
  }

  limitsOf(name: string): Partial<IdentityLimits> | undefined {
    return this.#limits.get(name);
  }

  /** Who shows this; `undefined` for nobody. */
  identify({ token, certificate, unix }: Credentials): Identity | undefined {
    return this.#find({ hash: token === undefined ? undefined : hashToken(token), certificate, unix });
  }

  /** Whether what they have shown would make the same today: after a reload, and when authorities have changed. */
  isStill(identity: Identity): boolean {
    const evidence = evidenceOf.get(identity); // none: the core itself said who it is (the far side of a tunnel)
    return evidence === undefined || this.#find(evidence)?.name === identity.name;
  }

  #find(evidence: Evidence): Identity | undefined {
    const fitting = this.#known.filter((known) => {
      const answers = [...asked(known, evidence)];
      return answers.length > 0 && answers.every(([, isShown]) => isShown);
    });
    const [one, another] = fitting;
    if (one === undefined || another !== undefined) return undefined;
    if (evidence.hash !== undefined && one.hash === undefined) return undefined;
    const identity = Object.freeze({ name: one.identity.name });
    evidenceOf.set(identity, evidence);
    return identity;
  }
}

/** Why somebody is nobody, for the log: what they showed, and never a token. */
export function describeCredentials({ token, certificate, unix }: Credentials = {}): string {
  if (token !== undefined) return 'its token is nobody’s';
  if (certificate !== undefined) return `its certificate is nobody’s (pin ${certificate.pin})`;
  return unix === undefined ? 'it did not prove who it is' : `user ${unix.uid}, group ${unix.gid} is nobody`;
}
