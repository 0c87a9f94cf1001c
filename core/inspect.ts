/** What is wrong with a link, found by looking and not by opening anything: for `check`, and before a start. */
import { accessFaults } from './access.ts';
import { proofsWanted, type ProofsOf } from './proofs.ts';
import type { Link } from './link.ts';
import type { Address } from './address.ts';
import { reasonOf } from './errors.ts';
import { readSecret } from './token.ts';
import type { Proof } from '../plugins/contract/index.ts';

/** What the files, folders, accounts, programs and secrets of an address lack. */
export async function inspectAddress(
  { transport, parsed, role, secrets }: Address,
  proofs: readonly Proof[] = [],
): Promise<readonly string[]> {
  const read = await Promise.allSettled(secrets.map(readSecret));
  const unreadable = read.flatMap((one) => (one.status === 'rejected' ? [reasonOf(one.reason)] : []));
  return [...((await transport.inspect?.(parsed, role, proofs)) ?? []), ...unreadable];
}

/** Access is judged on the bound address; an address that names its place tells it beforehand. */
export function reachFault({ title, source, allow }: { title?: string } & Pick<Link, 'source' | 'allow'>): string[] {
  if (allow.length > 0 || source.transport.reach?.(source.parsed) !== 'network') return [];
  return [
    `${title === undefined ? '' : `${title}: `}${source.text} can be reached from the network, and nobody is allowed to use it; say who may, "allow: [NAME]" or "allow: anyone", or listen on 127.0.0.1`,
  ];
}

export async function inspectLink(link: Link, proofsOf: ProofsOf): Promise<readonly string[]> {
  const { source, sink, services } = link;
  const ofSource = inspectAddress(source, proofsWanted(link, proofsOf));
  const ofAddresses = await Promise.all([ofSource, ...[sink, ...services.values()].map((one) => inspectAddress(one))]);
  return [...accessFaults(link, proofsOf), ...reachFault({ source, allow: link.allow }), ...ofAddresses.flat()];
}
