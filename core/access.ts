/** Who may connect. Judged on the bound address, after listen and before the first accept. */
import { ANYONE, type Link } from './link.ts';
import { SluiceError } from './errors.ts';
import type { Listener } from '../plugins/contract/index.ts';

/** @throws SluiceError SLUICE_ACCESS if a network can reach the source and the link does not say who may use it. */
export function judgeAccess(link: Link, listener: Listener): void {
  if (listener.reach === 'local' || link.allow.includes(ANYONE)) return;
  throw new SluiceError(
    'SLUICE_ACCESS',
    `link "${link.name}": ${listener.address} can be reached from the network, and nobody is allowed to use it; ` +
      'listen on 127.0.0.1, [::1] or a UNIX socket, or say who may: "--allow anyone", or "allow: anyone" in a configuration',
  );
}

/** @throws SluiceError SLUICE_ACCESS for a name that is nobody: identities are not in this version yet. */
export function assertKnown(allow: readonly string[]): void {
  const stranger = allow.find((name) => name !== ANYONE);
  if (stranger === undefined) return;
  throw new SluiceError(
    'SLUICE_ACCESS',
    `allow: there is no identity "${stranger}"; this version of Sluice knows only "${ANYONE}"`,
  );
}
