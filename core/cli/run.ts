/** `sluice run`: the gateway, with all links of a configuration. All of them open, or none. */
import { loadConfiguration, readIdentities } from '../config/load.ts';
import { locateConfig } from '../config/locate.ts';
import { SluiceError } from '../errors.ts';
import { accessFaults } from '../access.ts';
import { inspectAddress } from '../inspect.ts';
import type { Link } from '../link.ts';
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
async function assertSound(links: readonly Link[], log: Log): Promise<void> {
  const faults: string[] = [];
  for (const link of links) {
    const { name, source, sink, services } = link;
    for (const fault of accessFaults(link)) faults.push(`link "${name}": ${fault}`);
    for (const fault of await inspectAddress(source)) faults.push(`link "${name}": ${source.text}: ${fault}`);
    for (const one of [sink, ...services.values()])
      for (const fault of await inspectAddress(one)) log.warn('the sink is not ready', { link: name, reason: fault });
  }
  if (faults.length > 0) throw new SluiceError('SLUICE_CONFIG', faults.join('\n'));
}

/** Resolves with the process's exit status, when every link is done or the gateway was stopped. */
export async function runGateway(flags: ConfigFlags): Promise<number> {
  const { gateway, log, registry } = await createEnvironment(flags, { compose: composeByContainer });
  const file = locateConfig(flags.config, process.env);
  const { links, identities } = await loadConfiguration(file, registry);
  if (links.length === 0) throw new SluiceError('SLUICE_CONFIG', `${file}: there is nothing to run; add "links"`);
  gateway.know(await readIdentities(identities));
  await assertSound(links, log);
  const signalled = watchAsGateway(gateway, log);
  try {
    const opened = [];
    for (const link of links) opened.push(await gateway.open(link));
    log.info('running', { config: file, links: links.length });
    await Promise.all(opened.map(({ done }) => done));
  } catch (error) {
    await gateway.close(0);
    throw error;
  }
  return (await signalled.status()) ?? 0;
}
