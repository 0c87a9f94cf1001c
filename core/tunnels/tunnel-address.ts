/** Which tunnel an address names, and whether it may. Pure. */
import type { Address } from '../address.ts';
import { didYouMean } from '../nearest.ts';

/** The tunnel that an address names, perhaps behind layers. */
export const tunnelOf = ({ text }: Address): string | undefined => /^(?:[^:]*\+)?tunnel:([^/?]+)/.exec(text)?.[1];

/** @throws Error for an address of a tunnel that is not there */
export function assertTunnel(address: Address, names: readonly string[]): void {
  const tunnel = tunnelOf(address);
  if (tunnel === undefined || names.includes(tunnel)) return;
  const hint =
    didYouMean(tunnel, names) || (names.length > 0 ? `; there are: ${names.join(', ')}` : '; add it to "tunnels:"');
  throw new Error(`there is no tunnel "${tunnel}"${hint}`);
}

/** A tunnel runs in a gateway, and this is for another process. @throws Error that says what to do instead */
export function assertNoTunnel(address: Address): Address {
  if (tunnelOf(address) === undefined) return address;
  throw new Error(
    `${address.text}: tunnels run in a gateway; give its configuration a link from a socket to it, source "unix:/run/sluice/NAME.sock?session=yes", and name that socket here`,
  );
}
