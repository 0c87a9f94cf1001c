/** `sluice link` and `sluice connect`: one link, from the command line. */
import { assertKnown } from '../access.ts';
import { parseAddress, type Address } from '../address.ts';
import { tunnelOf } from '../tunnels/tunnel-address.ts';
import { locateConfig } from '../config/locate.ts';
import { SluiceError, reasonOf, wrap } from '../errors.ts';
import { inspectAddress } from '../inspect.ts';
import { ANYONE, servesOnce, type Link } from '../link.ts';
import { SERVICE } from '../names.ts';
import { printable, type LogLevel } from '../log.ts';
import type { Outcome } from '../relay.ts';
import type { Registry } from '../registry.ts';
import { createEnvironment, type Environment } from './environment.ts';
import type { CommandFlags, LinkFlags } from './flags.ts';
import { showProgress, type Progress } from './progress.ts';
import { onProxySignals, statusOfSignal, watchAsGateway, type Signalled } from './signals.ts';

/** The flags for a command, as options of its address; other sinks have options of their own in the address. */
function commandOptions(sink: string, { user, cwd, env, handoff, onAbort }: CommandFlags): Record<string, unknown> {
  const given = Object.entries({ user, cwd, env, handoff, onAbort }).filter(([, value]) => value !== undefined);
  if (given.length > 0 && !/^(?:[a-z0-9.-]+\+)*exec:/.test(sink)) {
    throw new SluiceError(
      'SLUICE_USAGE',
      `--${given[0]?.[0]} is for a sink that starts a command (exec:), and this is ${sink}`,
    );
  }
  return Object.fromEntries(given);
}

/** `NAME=SINK`, each. */
export function readServices(
  given: readonly string[] = [],
  folder: string,
  registry: Registry,
  flag = '--service',
): Map<string, Address> {
  const services = new Map<string, Address>();
  for (const text of given) {
    const [, name = '', sink = ''] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
    if (!SERVICE.test(name))
      throw new SluiceError('SLUICE_USAGE', `${flag} ${JSON.stringify(text)}: expected NAME=SINK, as sftp=sftp:`);
    if (services.has(name)) throw new SluiceError('SLUICE_USAGE', `${flag}: "${name}" is given twice`);
    services.set(name, parseAddress(sink, { registry, role: 'sink', folder }));
  }
  return services;
}

/** @throws SluiceError that says what the configuration would have been for */
function locate(config: string | undefined, names: readonly string[]): string {
  try {
    return locateConfig(config, process.env);
  } catch (error) {
    throw wrap(
      'SLUICE_ACCESS',
      `--allow ${names.join(', ')}: identities are those of a configuration`,
      reasonOf(error),
    );
  }
}

/** Makes the identities that `--allow` names known; they are those of the configuration. */
async function knowAllowed({ allow = [], config }: LinkFlags, { gateway, registry }: Environment): Promise<void> {
  const names = allow.filter((name) => name !== ANYONE);
  if (names.length === 0) return;
  const [{ loadConfiguration }, { readIdentities }] = await Promise.all([
    import('../config/load.ts'),
    import('../config/identities.ts'),
  ]);
  const { identities } = await loadConfiguration(locate(config, names), registry);
  assertKnown(names, [...identities.keys()]);
  gateway.know(await readIdentities(identities));
}

export function readLink(source: string, sink: string, flags: LinkFlags, registry: Registry): Link {
  const folder = process.cwd();
  const from: Address = parseAddress(source, { registry, role: 'source', folder });
  const to = parseAddress(sink, { registry, role: 'sink', folder, extra: commandOptions(sink, flags) });
  for (const address of [from, to])
    if (tunnelOf(address) !== undefined)
      throw new SluiceError(
        'SLUICE_USAGE',
        `${address.text}: tunnels belong to a configuration ("sluice run"), or to the command "sluice tunnel"`,
      );
  return {
    name: from.scheme,
    source: from,
    sink: to,
    services: readServices(flags.service, folder, registry),
    allow: flags.allow ?? [],
    idleAfterEnd: flags.idle,
    once: flags.once ?? servesOnce(from, to),
  };
}

/**
 * Resolves with the process's exit status.
 *
 * @param level of the log where no flag sets it: `connect` stands in for other programs, which say little
 */
export async function runLink(source: string, sink: string, flags: LinkFlags, level?: LogLevel): Promise<number> {
  let progress: Progress | undefined;
  const beforeLine = (): void => progress?.clear();
  const environment = await createEnvironment(flags, {
    beforeLine,
    isStandIn: level !== undefined,
    ...(level && { level }),
  });
  const { gateway, log, registry } = environment;
  const link = readLink(source, sink, flags, registry);
  await knowAllowed(flags, environment);
  const usesStdio = servesOnce(link.source, link.sink);
  const signalled = usesStdio ? watchAsProxy(environment) : watchAsGateway(gateway, log);
  if (!link.once)
    for (const fault of await inspectAddress(link.sink)) log.warn('the sink is not ready', { reason: fault });
  const opened = await gateway.open(link);
  if (!flags.quiet) progress = await showProgress(gateway, process.stderr);
  const outcome = await opened.done;
  progress?.stop();
  const status = await signalled.status();
  if (level !== undefined && status === undefined) tellFailure(outcome);
  return status ?? opened.failure?.exit ?? statusOf(outcome, link.once);
}

/** What a command that stands in for ssh says of its own failure: one line. */
export function tellFailure(outcome: Outcome | undefined): void {
  const { reason } = outcome ?? {};
  if (reason !== undefined) process.stderr.write(`sluice: ${printable(reason.message)} [${reason.code}]\n`);
}

export function watchAsProxy({ gateway, interrupt, isInputOver }: Environment): Signalled {
  let status: number | undefined;
  onProxySignals({
    isInputOver,
    interrupt: () => {
      interrupt();
      status = statusOfSignal('SIGINT');
    },
    abort: (code, why) => {
      status = code;
      gateway.abort(why);
      void gateway.close(0); // a sink of stdio has a source that listens
    },
  });
  return { status: async () => status };
}

/** The far command's own status; 255 for a cut or a failure of ours; 0 for a clean end, and for what served many. */
export function statusOf(outcome: Outcome | undefined, isOne: boolean): number {
  if (!isOne || outcome === undefined) return 0;
  const { how, by, status } = outcome;
  if (status !== undefined && 'signal' in status && by !== 'us' && by !== 'source')
    return statusOfSignal(status.signal);
  if (how === 'cut') return 255;
  return status !== undefined && 'code' in status ? status.code : 0;
}
