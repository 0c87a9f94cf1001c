/**
 * May they: who may use a link. Whether a source may open at all is judged on its bound address, after listen and before
 * the first accept; `authorize` is asked for every connection and every stream after that.
 */
import { ANYONE, sinkFor, type Link } from './link.ts';
import type { Address } from './address.ts';
import { SluiceError } from './errors.ts';
import { proofFaults, type ProofsOf } from './proofs.ts';
import type { Identity, Listener } from '../plugins/contract/index.ts';

/** Whether a list lets somebody in. One that names nobody is for what is local, or `judgeAccess` had refused it. */
export const allows = (allow: readonly string[], identity: Identity | undefined): boolean =>
  allow.length === 0 || allow.includes(ANYONE) || (identity !== undefined && allow.includes(identity.name));

/** A sink that depends on who asks. */
const needsIdentity = ({ transport, forIdentity }: Address): boolean =>
  transport.needsIdentity === true || forIdentity !== undefined;

/** The one answer to "may they", for a service of a link. */
export function authorize(identity: Identity | undefined, link: Link, service: string): boolean {
  const { allow } = link;
  const sink = sinkFor(link, service);
  const isNamed = identity !== undefined && allow.includes(identity.name);
  return isNamed || (allows(allow, identity) && (sink === undefined || !needsIdentity(sink)));
}

/** What is wrong with who may use a link, as far as its addresses and what its identities prove themselves by tell. */
export function accessFaults(link: Link, proofsOf: ProofsOf): string[] {
  const { sink, services, allow } = link;
  const faults: string[] = [];
  const isNamed = allow.length > 0 && !allow.includes(ANYONE);
  const demanding = [sink, ...services.values()].find(needsIdentity);
  if (demanding !== undefined && !isNamed) {
    const why = demanding.forIdentity ? 'is another for each identity' : 'does whatever its client asks for';
    const remedy = 'and the link does not say who may use it; name them: "allow: [NAME]"';
    faults.push(`${demanding.text} ${why}, ${remedy}`);
  }
  return [...faults, ...proofFaults(link, proofsOf)];
}

/** Before anything is opened. @throws SluiceError SLUICE_ACCESS */
export function assertAccess(link: Link, proofsOf: ProofsOf): void {
  const [fault] = accessFaults(link, proofsOf);
  if (fault !== undefined) throw new SluiceError('SLUICE_ACCESS', `link "${link.name}": ${fault}`);
}

/** @throws SluiceError SLUICE_ACCESS if a network can reach the source and nothing says who may use it. */
export function judgeAccess({ title, allow }: { title: string; allow: readonly string[] }, listener: Listener): void {
  if (listener.reach === 'local' || allow.length > 0) return;
  throw new SluiceError(
    'SLUICE_ACCESS',
    `${title}: ${listener.address} can be reached from the network, and nobody is allowed to use it; ` +
      'listen on 127.0.0.1, [::1] or a UNIX socket, or say who may: "--allow NAME" or "--allow anyone", "allow:" in a configuration',
  );
}

/** @throws SluiceError SLUICE_ACCESS for a name that is nobody */
export function assertKnown(allow: readonly string[], known: readonly string[]): void {
  const stranger = allow.find((name) => name !== ANYONE && !known.includes(name));
  if (stranger === undefined) return;
  const who = known.length > 0 ? `known are ${known.join(', ')}` : 'the configuration has no "identities"';
  throw new SluiceError(
    'SLUICE_ACCESS',
    `allow: there is no identity "${stranger}"; ${who}, and "${ANYONE}" is everybody`,
  );
}
