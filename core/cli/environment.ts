/** What every command is built from: the log on standard error, the folders, the transports, the container. */
import { builtInTransports } from '../../transports/index.ts';
import { createContainer, tokens } from '../container.ts';
import { createFolders } from '../folders.ts';
import type { Gateway } from '../gateway.ts';
import { createLog, type CoreLog, type LogLevel } from '../log.ts';
import type { Registry } from '../registry.ts';
import { resolve } from 'node:path';
import type { ExitStatus } from '../../plugins/contract/index.ts';
import type { GlobalFlags } from './program.ts';

export interface Environment {
  readonly log: CoreLog;
  readonly registry: Registry;
  readonly gateway: Gateway;
  /** How the sink of `stdio:` ended, once it has. */
  exitStatus(): ExitStatus | undefined;
  /** From now on an end of standard input is a cut. */
  interrupt(): void;
}

function levelOf({ verbose, quiet }: GlobalFlags): LogLevel {
  if (verbose) return 'debug';
  return quiet ? 'warning' : 'info';
}

/** @throws SluiceError SLUICE_PLUGIN for a `--plugin` that cannot be loaded */
export async function createEnvironment(flags: GlobalFlags, beforeLine?: () => void): Promise<Environment> {
  const output = process.stderr;
  const log = createLog({
    level: levelOf(flags),
    format: flags.logFormat,
    colour: output.isTTY && output.hasColors(),
    output,
    ...(beforeLine && { beforeLine }),
  });
  let exited: ExitStatus | undefined;
  let isInterrupted = false;
  const transports = builtInTransports({ interrupted: () => isInterrupted, exited: (status) => (exited = status) });
  const container = createContainer({ log, folders: createFolders(process.env), transports });
  const registry = container.get(tokens.registry);
  for (const plugin of flags.plugin ?? []) {
    const { loadPlugin } = await import('../loader.ts');
    registry.register(await loadPlugin(resolve(plugin), process.cwd()));
  }
  return {
    log,
    registry,
    gateway: container.get(tokens.gateway),
    exitStatus: () => exited,
    interrupt: () => (isInterrupted = true),
  };
}
