/**
 * Where a stream that a far side opened comes from. Transports and layers hand connections on, with other streams, and this
 * is not their business; what they leave alone is where standard error goes, so a stream is known by that.
 */
import type { Inbound } from '../../plugins/contract/index.ts';
import type { FarEnd, Tunnel } from './tunnel.ts';

export interface Origin {
  readonly tunnel: Tunnel;
  readonly end: FarEnd;
  readonly metadata: Readonly<Record<string, unknown>>;
}

const origins = new WeakMap<object, Origin>();

export function rememberOrigin({ diagnostics }: Inbound, origin: Origin): void {
  if (diagnostics !== undefined) origins.set(diagnostics, origin);
}

export const originOf = ({ diagnostics }: Inbound): Origin | undefined => diagnostics && origins.get(diagnostics);
