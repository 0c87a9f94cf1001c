/** Links whose source is a service that a tunnel's far side opens: who can be at that far side. Pure. */
import { ANYONE, type Link } from '../link.ts';
import type { TunnelPlans } from '../tunnels/plans.ts';
import { tunnelOf } from '../tunnels/tunnel-address.ts';
import type { Loaded } from './load.ts';

/** The names that the far side of a tunnel may have; empty where it needs none. */
export function farNames({ dialing, entrances }: TunnelPlans, tunnel: string): readonly string[] {
  if (dialing.some((one) => one.tunnel.name === tunnel)) return [tunnel];
  return entrances.flatMap(({ waiting }) => waiting).find((one) => one.tunnel.name === tunnel)?.allow ?? [];
}

/** Nobody could ever use such a link. */
function uselessFor({ name, source, allow }: Link, plans: TunnelPlans): string[] {
  const tunnel = tunnelOf(source);
  if (tunnel === undefined || allow.length === 0 || allow.includes(ANYONE)) return [];
  const far = farNames(plans, tunnel);
  if (far.length === 0 || far.includes(ANYONE) || allow.some((one) => far.includes(one))) return [];
  return [
    `link "${name}" allows ${allow.join(', ')}, and its far side, that of tunnel "${tunnel}", is ${far.join(' or ')}: nobody can use it; name ${far.length > 1 ? 'one of them' : 'it'} in its "allow:", or leave that out`,
  ];
}

/** A sentence for each link that allows nobody whom its tunnel lets in. */
export const uselessLinks = ({ links, tunnels }: Pick<Loaded, 'links' | 'tunnels'>): string[] =>
  links.flatMap((link) => uselessFor(link, tunnels));
