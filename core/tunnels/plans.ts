/** The tunnels that somebody asks for: a configuration, or a command line. */
import type { DialingPlan } from './dialing.ts';
import type { EntrancePlan } from './entrance.ts';
import type { Tunnel } from './tunnel.ts';

export interface TunnelPlans {
  readonly dialing: readonly DialingPlan[];
  readonly entrances: readonly EntrancePlan[];
}

export const tunnelsOf = ({ dialing, entrances }: TunnelPlans): Tunnel[] =>
  [...dialing, ...entrances.flatMap(({ waiting }) => waiting)].map(({ tunnel }) => tunnel);
