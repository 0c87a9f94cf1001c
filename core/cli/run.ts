/** `sluice run`: the gateway, with all links of a configuration. All of them open, or none. */
import { loadConfiguration } from '../config/links.ts';
import { locateConfig } from '../config/locate.ts';
import { composeByContainer, createEnvironment } from './environment.ts';
import type { ConfigFlags } from './flags.ts';
import { watchAsGateway } from './signals.ts';

/** Resolves with the process's exit status, when every link is done or the gateway was stopped. */
export async function runGateway(flags: ConfigFlags): Promise<number> {
  const { gateway, log, registry } = await createEnvironment(flags, { compose: composeByContainer });
  const file = locateConfig(flags.config, process.env);
  const links = await loadConfiguration(file, registry);
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
