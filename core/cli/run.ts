/** `sluice run`: the gateway, with all links of a configuration. All of them open, or none. */
import { readIdentities, tokenFiles } from '../config/identities.ts';
import { loadConfiguration, type Loaded } from '../config/load.ts';
import { locateConfig } from '../config/locate.ts';
import { SluiceError, reasonOf } from '../errors.ts';
import { readToken } from '../token.ts';
import { accessFaults } from '../access.ts';
import { forGateway, tunnelsOf } from '../config/tunnels.ts';
import type { Gateway } from '../gateway.ts';
import { inspectAddress } from '../inspect.ts';
import type { Identities } from '../identities.ts';
import { proofsWanted, type ProofsOf } from '../proofs.ts';
import type { Registry } from '../registry.ts';
import { ConfiguredLinks } from '../reload.ts';
import type { Log } from '../../plugins/contract/index.ts';
import { composeByContainer, createEnvironment } from './environment.ts';
import type { ConfigFlags } from './flags.ts';
import { watchAsGateway } from './signals.ts';
import { KnownFiles } from './watch.ts';

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

/** After the links: what a far side asks for must be there when it comes. */
async function openTunnels({ tunnels }: Loaded, gateway: Gateway): Promise<readonly { done: Promise<unknown> }[]> {
  const opened: { done: Promise<unknown> }[] = [];
  for (const entrance of tunnels.entrances) opened.push(await gateway.openEntrance(entrance));
  for (const plan of tunnels.dialing) opened.push(await gateway.dialTunnel(plan));
  return opened;
}

/** Reads the configuration for a gateway. @throws SluiceError for all that would keep it from running */
async function readAll(file: string, registry: Registry): Promise<{ loaded: Loaded; known: Identities }> {
  const loaded = forGateway(await loadConfiguration(file, registry));
  if (loaded.links.length === 0 && tunnelsOf(loaded.tunnels).length === 0)
    throw new SluiceError('SLUICE_CONFIG', `${file}: there is nothing to run; add "links"`);
  const known = await readIdentities(loaded.identities);
  return { loaded, known };
}

const proofsIn =
  (known: Identities): ProofsOf =>
  (name) =>
    known.proofsOf(name);

/** Tunnels are those of the start; who may come in by one is an identity's matter, and that counts at once. */
const tunnelsAsText = ({ tunnels }: Loaded): string =>
  JSON.stringify([
    tunnels.dialing.map(({ tunnel, addresses }) => [tunnel.name, addresses.map(({ text }) => text)]),
    tunnels.entrances.map(({ source, waiting }) => [
      source.text,
      waiting.map(({ tunnel, allow }) => [tunnel.name, allow]),
    ]),
  ]);

/** Resolves with the process's exit status, when every link is done or the gateway was stopped. */
export async function runGateway(flags: ConfigFlags): Promise<number> {
  const { gateway, log, registry, freshRegistry } = await createEnvironment(flags, { compose: composeByContainer });
  const file = locateConfig(flags.config, process.env);
  const { loaded, known } = await readAll(file, registry);
  const tunnels = tunnelsOf(loaded.tunnels);
  gateway.know(known);
  for (const tunnel of tunnels) gateway.tunnels.add(tunnel);
  await assertSound(loaded, proofsIn(known), log);
  if (tunnels.length > 0) await (await import('../tunnels/stale-services.ts')).removeStale(log);
  const links = new ConfiguredLinks(gateway);
  const files = new KnownFiles(file, gateway, log);

  const reload = async (): Promise<void> => {
    try {
      const next = await readAll(file, await freshRegistry());
      await assertSound(next.loaded, proofsIn(next.known), log);
      await links.apply(next.loaded.links, next.known);
      await files.remember(tokenFiles(next.loaded.identities));
      log.info('reloaded', { config: file, links: next.loaded.links.length });
      if (tunnelsAsText(next.loaded) !== tunnelsAsText(loaded))
        log.warn('the tunnels have changed, which counts from the next start on');
    } catch (error) {
      log.error('the configuration was not taken, nothing has changed', { reason: reasonOf(error) });
    }
  };
  let reloading = Promise.resolve();
  const signalled = watchAsGateway(gateway, log, () => void (reloading = reloading.then(reload)));
  try {
    await links.start(loaded.links);
    const opened = await openTunnels(loaded, gateway);
    await files.start(tokenFiles(loaded.identities));
    const count = { links: loaded.links.length, ...(tunnels.length > 0 && { tunnels: tunnels.length }) };
    log.info('running', { config: file, ...count });
    await Promise.all([links.over(), ...opened.map(({ done }) => done)]);
  } catch (error) {
    await gateway.close(0);
    throw error;
  } finally {
    files.stop();
  }
  return (await signalled.status()) ?? 0;
}
