/** `sluice run`: the gateway, with all links of a configuration. All of them open, or none. */
import { readIdentities } from '../config/identities.ts';
import { loadConfiguration, type Loaded } from '../config/load.ts';
import { locateConfig } from '../config/locate.ts';
import { SluiceError, reasonOf } from '../errors.ts';
import { readToken } from '../token.ts';
import { accessFaults } from '../access.ts';
import { forGateway, tunnelsOf } from '../config/tunnels.ts';
import type { Gateway } from '../gateway.ts';
import { inspectAddress } from '../inspect.ts';
import { proofsWanted, type ProofsOf } from '../proofs.ts';
import type { Log } from '../../plugins/contract/index.ts';
import { composeByContainer, createEnvironment } from './environment.ts';
import type { ConfigFlags } from './flags.ts';
import { watchAsGateway } from './signals.ts';

/**
 * A source that cannot be opened as it is written is refused before anything starts, and would be refused again: 78, so
 * that systemd does not try for ever. What a sink lacks may come later (a folder not mounted yet), and is a warning.
 *
 * @throws SluiceError SLUICE_CONFIG with a line for each fault
 */
async function assertSound({ links, tunnels }: Loaded, proofsOf: ProofsOf, log: Log): Promise<void> {
  const faults: string[] = [];
  for (const { source } of tunnels.entrances)
    for (const fault of await inspectAddress(source)) faults.push(`${source.text}: ${fault}`);
  for (const { tunnel, addresses } of tunnels.dialing)
    for (const { token } of addresses)
      if (token !== undefined)
        await readToken(token).catch((error: unknown) => faults.push(`tunnel "${tunnel.name}": ${reasonOf(error)}`));
  for (const link of links) {
    const { name, source, sink, services } = link;
    for (const fault of accessFaults(link, proofsOf)) faults.push(`link "${name}": ${fault}`);
    for (const fault of await inspectAddress(source, proofsWanted(link, proofsOf)))
      faults.push(`link "${name}": ${source.text}: ${fault}`);
    for (const one of [sink, ...services.values()])
      for (const fault of await inspectAddress(one)) log.warn('the sink is not ready', { link: name, reason: fault });
  }
  if (faults.length > 0) throw new SluiceError('SLUICE_CONFIG', faults.join('\n'));
}

/** Links first: what a far side asks for must be there when it comes. */
async function openAll({ links, tunnels }: Loaded, gateway: Gateway): Promise<readonly { done: Promise<unknown> }[]> {
  const opened: { done: Promise<unknown> }[] = [];
  for (const link of links) opened.push(await gateway.open(link));
  for (const entrance of tunnels.entrances) opened.push(await gateway.openEntrance(entrance));
  for (const plan of tunnels.dialing) opened.push(await gateway.dialTunnel(plan));
  return opened;
}

/** Resolves with the process's exit status, when every link is done or the gateway was stopped. */
export async function runGateway(flags: ConfigFlags): Promise<number> {
  const { gateway, log, registry } = await createEnvironment(flags, { compose: composeByContainer });
  const file = locateConfig(flags.config, process.env);
  const loaded = forGateway(await loadConfiguration(file, registry));
  const { links, identities } = loaded;
  const tunnels = tunnelsOf(loaded.tunnels);
  if (links.length === 0 && tunnels.length === 0)
    throw new SluiceError('SLUICE_CONFIG', `${file}: there is nothing to run; add "links"`);
  const known = await readIdentities(identities);
  gateway.know(known);
  for (const tunnel of tunnels) gateway.tunnels.add(tunnel);
  await assertSound(loaded, (name) => known.proofsOf(name), log);
  if (tunnels.length > 0) await (await import('../tunnels/stale-services.ts')).removeStale(log);
  const signalled = watchAsGateway(gateway, log);
  try {
    const opened = await openAll(loaded, gateway);
    log.info('running', { config: file, links: links.length, ...(tunnels.length > 0 && { tunnels: tunnels.length }) });
    await Promise.all(opened.map(({ done }) => done));
  } catch (error) {
    await gateway.close(0);
    throw error;
  }
  return (await signalled.status()) ?? 0;
}
