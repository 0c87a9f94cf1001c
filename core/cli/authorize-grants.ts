/**
 * What `authorize` grants besides the identity: places in `allow` lists. Looked at as `check` would, before anything is made
 * or written: what comes of it must start, and lock nobody out who has access now.
 */
import { accessFaults } from '../access.ts';
import type { Address } from '../address.ts';
import type { ConfigEdit } from '../config/edit.ts';
import { proofsIn } from '../config/identities.ts';
import { loadText, type Loaded } from '../config/load.ts';
import { SluiceError } from '../errors.ts';
import { proofFaults, type ProofsOf } from '../proofs.ts';
import { tunnelOf } from '../tunnels/tunnel-address.ts';
import { createEnvironment } from './environment.ts';
import type { AuthorizeFlags } from './flags.ts';

/** Who is let in there by name for the first time locks out whoever needed no name. */
function lockOut(title: string, { transport, parsed, text }: Address, name: string): string[] {
  if (transport.reach?.(parsed) !== 'local') return [];
  return [
    `${title} has no "allow:", so whoever reaches ${text} on this machine may use it, and would be locked out by "allow: [${name}]"; write that into it first, if you mean it`,
  ];
}

function linkFaults(link: string, name: string, isFirst: boolean, loaded: Loaded, proofsOf: ProofsOf): string[] {
  const found = loaded.links.find((one) => one.name === link);
  if (found === undefined) return [];
  const tunnel = tunnelOf(found.source);
  if (tunnel !== undefined) {
    const isDialed = loaded.tunnels.dialing.some((one) => one.tunnel.name === tunnel);
    const why = isDialed
      ? `which this side dials: who is there proves itself by its certificate or pin`
      : `and who that may be stands in the tunnel's own "allow:"; use --tunnel ${tunnel} instead of --link ${link}`;
    return [`link "${link}" is for the far side of tunnel "${tunnel}", ${why}`];
  }
  const title = `link "${link}"`;
  const unheard = accessFaults(found, proofsOf).map((fault) => `${title}: ${fault}`);
  return [...(isFirst ? lockOut(title, found.source, name) : []), ...unheard];
}

function tunnelFaults(tunnel: string, name: string, isFirst: boolean, loaded: Loaded, proofsOf: ProofsOf): string[] {
  const entrance = loaded.tunnels.entrances.find(({ waiting }) => waiting.some((one) => one.tunnel.name === tunnel));
  if (entrance === undefined) return [];
  const { source } = entrance;
  const title = `tunnel "${tunnel}"`;
  const unheard = proofFaults({ allow: [name], source }, proofsOf).map((fault) => `${title}: ${fault}`);
  return [...(isFirst ? lockOut(title, source, name) : []), ...unheard];
}

/**
 * Puts the name into the `allow` lists that the flags name; nothing is written yet.
 *
 * @param edit in which the identity stands already
 * @throws SluiceError for what would not start, or would lock somebody out
 */
export async function grant(config: string, edit: ConfigEdit, name: string, flags: AuthorizeFlags): Promise<void> {
  const links = (flags.link ?? []).map((link) => [link, edit.allowOnLink(link, name)] as const);
  const tunnels = (flags.tunnel ?? []).map((tunnel) => [tunnel, edit.allowOnTunnel(tunnel, name)] as const);
  if (links.length + tunnels.length === 0) return;
  const { registry } = await createEnvironment(flags);
  const loaded = await loadText(config, edit.text, registry);
  const proofsOf: ProofsOf = (one) => proofsIn(loaded.identities.get(one) ?? {});
  const faults = [
    ...links.flatMap(([link, isFirst]) => linkFaults(link, name, isFirst, loaded, proofsOf)),
    ...tunnels.flatMap(([tunnel, isFirst]) => tunnelFaults(tunnel, name, isFirst, loaded, proofsOf)),
  ];
  if (faults.length > 0)
    throw new SluiceError('SLUICE_CONFIG', `nothing was changed in ${config}: ${faults.join('\n')}`);
}
