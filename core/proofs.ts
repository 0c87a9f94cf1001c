/** What those who may use a link prove themselves by, and whether its source can be shown that. Pure. */
import type { Address } from './address.ts';
import { tunnelOf } from './tunnels/tunnel-address.ts';
import { ANYONE, type Link } from './link.ts';
import type { Proof } from '../plugins/contract/index.ts';

/** What the entry of an identity asks for; `undefined` for a name that is nobody's. */
export type ProofsOf = (name: string) => readonly Proof[] | undefined;

/** A token where nothing is known: it is what an identity has, if nothing else is said. */
const otherwise: readonly Proof[] = ['token'];

const named = ({ allow }: Pick<Link, 'allow'>): string[] => allow.filter((name) => name !== ANYONE);

/** Everything that is to be asked of clients. */
export const proofsWanted = (link: Pick<Link, 'allow'>, proofsOf: ProofsOf): readonly Proof[] => [
  ...new Set(named(link).flatMap((name) => proofsOf(name) ?? [])),
];

function canBeShown(proof: Proof, { session, transport, parsed }: Address): boolean {
  if (transport.identifies) return true;
  if (proof === 'token') return session === 'always' || transport.negotiates === true;
  return transport.proves?.(parsed).includes(proof) ?? false;
}

/** The rule of a source in words, for the log and `check`: who, and by what each proves it. */
export function explainRule({ allow, source }: Pick<Link, 'allow' | 'source'>, proofsOf: ProofsOf): string {
  const tunnel = tunnelOf(source);
  if (allow.length === 0)
    return tunnel === undefined ? 'whoever reaches it on this machine' : `the far side of tunnel ${tunnel}`;
  if (allow.includes(ANYONE)) return 'anyone';
  const show = (name: string): string => {
    const proofs = proofsOf(name);
    return proofs === undefined ? name : `${name} (${proofs.join(' and ') || 'revoked'})`;
  };
  return allow.map(show).join(', ');
}

const REMEDIES: Readonly<Record<Proof, (source: Address) => string>> = {
  token: ({ text }) => `add session=yes to ${text}`,
  pin: () => 'only tls and wss can ask for a certificate',
  san: ({ text }) => `give ${text} the "ca" that signs its certificate (tls and wss)`,
  spiffe: ({ text }) => `give ${text} the "ca" that signs its certificate (tls and wss)`,
  uid: () => 'only a UNIX socket tells it (unix and ws+unix)',
  gid: () => 'only a UNIX socket tells it (unix and ws+unix)',
};

/** Sentences, one for each proof that could never be shown. */
export function proofFaults(link: Pick<Link, 'allow' | 'source'>, proofsOf: ProofsOf): string[] {
  const faults = named(link).flatMap((name) =>
    (proofsOf(name) ?? otherwise)
      .filter((proof) => !canBeShown(proof, link.source))
      .map(
        (proof) =>
          `over ${link.source.scheme} nobody can prove who they are by a ${proof}; ${REMEDIES[proof](link.source)}`,
      ),
  );
  return [...new Set(faults)];
}
