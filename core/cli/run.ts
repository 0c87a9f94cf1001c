/** `sluice run`: the gateway, with all links of a configuration. All of them open, or none. */
import { readIdentities, tokenFiles } from '../config/identities.ts';
import { loadConfiguration, type Loaded } from '../config/load.ts';
import { locateConfig } from '../config/locate.ts';
import { SluiceError, reasonOf } from '../errors.ts';
import { readToken } from '../token.ts';
import { accessFaults } from '../access.ts';
import { forGateway } from '../config/tunnels.ts';
import { ConfiguredTunnels } from '../tunnels/configured.ts';
import { tunnelsOf } from '../tunnels/plans.ts';
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

/** Resolves with the process's exit status, when every link is done or the gateway was stopped. */
export async function runGateway(flags: ConfigFlags): Promise<number> {
  const { gateway, log, registry, freshRegistry } = await createEnvironment(flags, { compose: composeByContainer });
  const file = locateConfig(flags.config, process.env);
  const { loaded, known } = await readAll(file, registry);
  const tunnels = new ConfiguredTunnels(gateway, log);
  const plans = tunnels.adopt(loaded.tunnels);
  gateway.know(known);
  gateway.admission.limit(loaded.limits);
  await assertSound(loaded, proofsIn(known), log);
  if (tunnelsOf(plans).length > 0) await (await import('../tunnels/stale-services.ts')).removeStale(log);
  const links = new ConfiguredLinks(gateway);
  const files = new KnownFiles(file, gateway, log);

  const reload = async (): Promise<void> => {
    try {
      const next = await readAll(file, await freshRegistry());
      const wanted = tunnels.adopt(next.loaded.tunnels);
      await assertSound(next.loaded, proofsIn(next.known), log);
      await links.apply(next.loaded.links, next.known); // what a far side asks for is there before it is
      await tunnels.apply(wanted);
      await gateway.review();
      gateway.admission.limit(next.loaded.limits);
      await files.remember(tokenFiles(next.loaded.identities));
      log.info('reloaded', { config: file, links: next.loaded.links.length });
    } catch (error) {
      tunnels.disown();
      log.error('the configuration was not taken, nothing has changed', { reason: reasonOf(error) });
    }
  };
  let reloading = Promise.resolve();
  const signalled = watchAsGateway(gateway, log, () => void (reloading = reloading.then(reload)));
  try {
    await links.start(loaded.links);
    await tunnels.start(plans);
    await files.start(tokenFiles(loaded.identities));
    const count = { links: loaded.links.length, tunnels: tunnelsOf(plans).length || undefined };
    log.info('running', { config: file, ...count });
    const failures = await Promise.all([links.over(), tunnels.over()]);
    return (await signalled.status()) ?? failures.find((one) => one !== undefined)?.exit ?? 0;
  } catch (error) {
    await gateway.close(0);
    const status = await signalled.status(); // it was stopped while it started: that is no failure
    if (status === undefined || !SluiceError.is(error) || error.code !== 'SLUICE_STOPPED') throw error;
    return status;
  } finally {
    files.stop();
  }
}
