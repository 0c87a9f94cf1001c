/** The `identities` of a configuration: who may be allowed, and what each proves itself by. */
import { pathResolver } from '../address.ts';
import { SluiceError, reasonOf } from '../errors.ts';
import { Identities, type Known } from '../identities.ts';
import { readTokenHash } from '../token-hash.ts';
import { parseTokenReference, showReference, type TokenReference } from '../token.ts';
import type { Proof } from '../../plugins/contract/index.ts';
import type { Mistake } from './document.ts';
import { Attempts } from './endpoints.ts';
import { readOwnLimits, showOwnLimits } from './limits.ts';
import type { Configuration } from './schema.ts';

/** An identity as the configuration has it. Its token is only named: `readIdentities` reads it. */
export interface IdentityEntry extends Omit<Known, 'identity' | 'hash'> {
  readonly token?: TokenReference | undefined;
}

type Written = NonNullable<Configuration['identities']>[string];

const listOf = (one: string | readonly string[] | undefined): readonly string[] | undefined =>
  typeof one === 'string' ? [one] : one;

/** Revoked is revoked, whatever else is written. */
function readEntry(written: Written, resolvePath: (path: string) => string): IdentityEntry {
  if (written.revoked !== undefined) return {};
  const { token, pin, san, spiffe, uid, gid, limits } = written;
  return {
    token: token === undefined ? undefined : parseTokenReference(token, resolvePath),
    pin: listOf(pin),
    san: listOf(san)?.map((name) => name.toLowerCase()),
    spiffe: listOf(spiffe),
    uid,
    gid,
    limits: limits && readOwnLimits(limits),
  };
}

export function readIdentityEntries(
  written: Configuration['identities'],
  folder: string,
): { read: Map<string, IdentityEntry>; mistakes: readonly Mistake[] } {
  const attempts = new Attempts(['identities']);
  const read = new Map<string, IdentityEntry>();
  for (const [name, entry] of Object.entries(written ?? {})) {
    const one = attempts.try([name, 'token'], () => readEntry(entry, pathResolver(folder)));
    if (one !== undefined) read.set(name, one);
  }
  return { read, mistakes: attempts.mistakes };
}

const PROOFS: readonly Proof[] = ['token', 'pin', 'san', 'spiffe', 'uid', 'gid'];

export const proofsIn = (entry: IdentityEntry): readonly Proof[] =>
  PROOFS.filter((proof) => entry[proof] !== undefined);

/** `token file:/… and pin sha256/…; commands-per-identity 2`, for people. */
export function showEntry(entry: IdentityEntry): string {
  const proofs = proofsIn(entry).map((proof) => {
    const value = proof === 'token' ? entry.token && showReference(entry.token) : entry[proof];
    return `${proof} ${Array.isArray(value) ? value.join(' or ') : String(value)}`;
  });
  const limits = entry.limits === undefined ? '' : showOwnLimits(entry.limits);
  return proofs.length > 0 ? [proofs.join(' and '), limits].filter(Boolean).join('; ') : 'revoked';
}

/** @throws SluiceError SLUICE_TOKEN for one token that two would have: nobody could tell them apart */
function assertDistinct(known: readonly Known[]): void {
  const owners = new Map<string, string>();
  for (const { identity, hash } of known) {
    if (hash === undefined) continue;
    const owner = owners.get(hash.toString('hex'));
    if (owner !== undefined)
      throw new SluiceError('SLUICE_TOKEN', `"${owner}" and "${identity.name}" have the same token; give each its own`);
    owners.set(hash.toString('hex'), identity.name);
  }
}

/** Those whose tokens could be read; whose cannot, is nobody. @throws SluiceError SLUICE_TOKEN for one token of two */
export async function readKnownIdentities(
  entries: ReadonlyMap<string, IdentityEntry>,
): Promise<{ identities: Identities; faults: readonly string[]; files: readonly string[] }> {
  const read = await Promise.allSettled([...entries].map(readKnown));
  const faults = read.flatMap((one) => (one.status === 'rejected' ? [reasonOf(one.reason)] : []));
  const known = read.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  assertDistinct(known);
  return { identities: new Identities(known), faults, files: tokenFiles(entries) };
}

/** The files that tokens are kept in. */
export const tokenFiles = (entries: ReadonlyMap<string, IdentityEntry>): string[] =>
  [...entries.values()].flatMap(({ token }) => (token?.kind === 'file' ? [token.name] : []));

/** Reads what is kept of every identity's token. @throws SluiceError SLUICE_TOKEN with a line for each that cannot be */
export async function readIdentities(entries: ReadonlyMap<string, IdentityEntry>): Promise<Identities> {
  const { identities, faults } = await readKnownIdentities(entries);
  if (faults.length > 0) throw new SluiceError('SLUICE_TOKEN', faults.join('\n'));
  return identities;
}

async function readKnown([name, { token, ...others }]: [string, IdentityEntry]): Promise<Known> {
  return { identity: { name }, hash: token && (await readTokenHash(token)), ...others };
}
