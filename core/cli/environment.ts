/** What every command is built from: the log on standard error, the folders, the transports, the gateway. */
import { builtInTransports } from '../../transports/index.ts';
import type { Singletons } from '../container.ts';
import { createFolders } from '../folders.ts';
import { Gateway, type GatewayOptions } from '../gateway.ts';
import { createLog, type CoreLog, type LogLevel } from '../log.ts';
import { Registry } from '../registry.ts';
import { parseTokenReference } from '../token.ts';
import { Tunnels } from '../tunnels/tunnels.ts';
import { resolve } from 'node:path';
import type { GlobalFlags } from './flags.ts';

export interface Environment {
  readonly log: CoreLog;
  readonly registry: Registry;
  readonly gateway: Gateway;
  /** The transports anew, without what a configuration's plugins have added. @throws SluiceError SLUICE_PLUGIN */
  freshRegistry(): Promise<Registry>;
  /** From now on an end of standard input is a cut. */
  interrupt(): void;
  /** An end of standard input has been passed on. */
  isInputOver(): boolean;
}

interface Composed {
  readonly registry: Registry;
  readonly gateway: Gateway;
}

export interface EnvironmentOptions {
  readonly compose?: (singletons: Singletons) => Composed | Promise<Composed>;
  /** Of the log, where no flag sets it. */
  readonly level?: LogLevel;
  /** The command stands in for ssh: it tells its failure itself, and of a lost connection only a person at a terminal. */
  readonly isStandIn?: boolean;
  /** Nothing is read from standard input; standard output ends with the process. */
  readonly isInputEmpty?: boolean;
  readonly holdsOutput?: boolean;
  /** Called before a line of the log is written. */
  readonly beforeLine?: () => void;
}

/**
 * For commands that are started hundreds of times (`connect` stands in for ssh): a fifth of their start was the
 * container, and two objects need none.
 */
const composeDirectly = ({ log, folders, transports, options }: Singletons): Composed => {
  const registry = new Registry(transports);
  return { registry, gateway: new Gateway(log, folders, registry, options) };
};

/** For the gateway proper. */
export async function composeByContainer(singletons: Singletons): Promise<Composed> {
  const { createContainer, tokens } = await import('../container.ts');
  const container = createContainer(singletons);
  return { registry: container.get(tokens.registry), gateway: container.get(tokens.gateway) };
}

function levelOf({ verbose, quiet }: GlobalFlags, otherwise: LogLevel): LogLevel {
  if (verbose) return 'debug';
  return quiet ? 'warning' : otherwise;
}

/** The command line that is this program: Node with the script, or the single executable. */
const ownCommand = (): string[] => {
  const [, script] = process.argv;
  return script === undefined || script === process.execPath ? [process.execPath] : [process.execPath, script];
};

/** @throws SluiceError SLUICE_TOKEN for a variable that names no file */
function gatewayOptions(isWatched: boolean, isStandIn: boolean, tunnels: Tunnels): GatewayOptions {
  const file = process.env['SLUICE_TOKEN_FILE'];
  return {
    tunnels,
    sluice: ownCommand(),
    token: file ? parseTokenReference(`file:${file}`, resolve) : undefined,
    loudness: { outage: isWatched || !isStandIn ? 'warn' : 'info', cut: isStandIn ? 'info' : 'warn' },
  };
}

/** @throws SluiceError SLUICE_PLUGIN for a `--plugin` that cannot be loaded */
export async function createEnvironment(
  flags: GlobalFlags,
  {
    compose = composeDirectly,
    level = 'info',
    isStandIn = false,
    isInputEmpty = false,
    holdsOutput = false,
    beforeLine,
  }: EnvironmentOptions = {},
): Promise<Environment> {
  const output = process.stderr;
  const log = createLog({
    level: levelOf(flags, level),
    format: flags.logFormat,
    colour: output.isTTY && output.hasColors(),
    output,
    ...(beforeLine && { beforeLine }),
  });
  let isInterrupted = false;
  const tunnels = new Tunnels();
  let isInputOver = false;
  const inputEnded = (): void => void (isInputOver = true);
  const stdio = { interrupted: () => isInterrupted, inputEnded, isInputEmpty, holdsOutput };
  const transports = builtInTransports(stdio, tunnels);
  const options = gatewayOptions(isStandIn && output.isTTY, isStandIn, tunnels);
  const { registry, gateway } = await compose({ log, folders: createFolders(process.env), transports, options });
  const { plugin: plugins = [] } = flags;
  const addPlugins = async (to: Registry): Promise<Registry> => {
    if (plugins.length > 0) await (await import('../loader.ts')).addPlugins(plugins, process.cwd(), to);
    return to;
  };
  await addPlugins(registry);
  return {
    log,
    registry,
    gateway,
    freshRegistry: () => addPlugins(new Registry(transports)),
    interrupt: () => (isInterrupted = true),
    isInputOver: () => isInputOver,
  };
}
