/**
 * May they: who may use a link. Whether a source may open at all is judged on its bound address, after listen and before
 * the first accept; `authorize` is asked for every connection and every stream after that.
 */
import { ANYONE, type Link } from './link.ts';
import { SluiceError } from './errors.ts';
import { proofFaults, type ProofsOf } from './proofs.ts';
import type { Identity, Listener } from '../plugins/contract/index.ts';

/** Whether a list lets somebody in. One that names nobody is for what is local, or `judgeAccess` had refused it. */
export const allows = (allow: readonly string[], identity: Identity | undefined): boolean =>
  allow.length === 0 || allow.includes(ANYONE) || (identity !== undefined && allow.includes(identity.name));

/** The one answer to "may they". */
export const authorize = (identity: Identity | undefined, { allow, sink }: Link, _service: string): boolean =>
  allows(allow, identity) && (allow.length > 0 || !sink.transport.needsIdentity);

/** What is wrong with who may use a link, as far as its addresses and what its identities prove themselves by tell. */
export function accessFaults(link: Link, proofsOf: ProofsOf): string[] {
  const { sink, services, allow } = link;
  const faults: string[] = [];
  const isNamed = allow.length > 0 && !allow.includes(ANYONE);
  const demanding = [sink, ...services.values()].find(({ transport }) => transport.needsIdentity);
  if (demanding !== undefined && !isNamed)
    faults.push(
      `${demanding.text} does whatever its client asks for, and the link does not say who may use it; name them: "allow: [NAME]"`,
    );
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
