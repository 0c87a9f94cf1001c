/**
 * `sluice rsh`: stands in for ssh. borg, rsync, git, sftp and their like call it with ssh's arguments; it opens a stream of
 * a session to the host's sink, carries the client's command along, and ends as ssh would: with the far command's status,
 * or with 255 and one line for a failure of its own.
 */
import { readFileSync } from 'node:fs';
import { parseAddress, type Address } from '../address.ts';
import { SluiceError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { DEFAULT_SERVICE, type Link } from '../link.ts';
import { SERVICE } from '../names.ts';
import { parseDuration } from '../options.ts';
import { isCarried } from '../request.ts';
import type { Registry } from '../registry.ts';
import { createEnvironment, type Environment } from './environment.ts';
import type { GlobalFlags } from './flags.ts';
import { statusOf, tellFailure, watchAsProxy } from './link.ts';
import { parseSshArguments, type OwnOptions, type SshArguments } from './ssh-arguments.ts';
import type { Request } from '../../plugins/contract/index.ts';

/** Ours are long: every short option is ssh's. */
export const RSH_OPTIONS = {
  to: 'value',
  via: 'value',
  config: 'value',
  'no-resume': 'flag',
  resume: 'value',
  'take-over': 'flag',
  plugin: 'value',
  'log-format': 'value',
  help: 'flag',
} as const satisfies OwnOptions;

type OwnName = keyof typeof RSH_OPTIONS;

const lastOf = ({ own }: SshArguments, name: OwnName): string | undefined => own.get(name)?.at(-1);
const has = ({ own }: SshArguments, name: OwnName): boolean => own.has(name);

function globalFlags(args: SshArguments): GlobalFlags {
  const format = lastOf(args, 'log-format') ?? 'text';
  if (format !== 'text' && format !== 'json')
    throw new SluiceError('SLUICE_USAGE', `rsh: --log-format: expected text or json, got ${JSON.stringify(format)}`);
  const plugin = args.own.get('plugin');
  return { logFormat: format, ...(args.isVerbose && { verbose: true }), ...(plugin && { plugin }) };
}

/** How long a lost connection is redialed, where the command line says so. */
function resumeOf(args: SshArguments): Record<string, string> {
  if (has(args, 'no-resume')) return { resume: 'off' };
  const time = lastOf(args, 'resume');
  if (time !== undefined && time !== 'off' && parseDuration(time) === undefined)
    throw new SluiceError(
      'SLUICE_USAGE',
      `rsh: --resume: expected a duration such as 20s or 5m, or "off", got ${JSON.stringify(time)}`,
    );
  return time === undefined ? {} : { resume: time };
}

/** `--to ADDRESS` names the sink, `--via ADDRESS` a gateway where the host is a service; otherwise the host is looked up, and never run, resolved or dialed by itself. */
async function findSink(args: SshArguments, registry: Registry): Promise<Address> {
  if (has(args, 'to') && has(args, 'via'))
    throw new SluiceError('SLUICE_USAGE', 'rsh: --to names the sink, --via where the host is looked up; give one');
  const to = lastOf(args, 'to') ?? lastOf(args, 'via');
  const overrides = resumeOf(args);
  if (to !== undefined)
    return parseAddress(to, { registry, role: 'sink', folder: process.cwd(), overrides, session: 'always' });
  const [{ locateConfig, passedOver }, { loadConfiguration }] = await Promise.all([
    import('../config/locate.ts'),
    import('../config/load.ts'),
  ]);
  const file = locateConfig(
    lastOf(args, 'config'),
    process.env,
    'name one with --config FILE, or the sink: --to ADDRESS',
  );
  const { hosts } = await loadConfiguration(file, registry, { host: args.host, overrides, session: 'always' });
  const sink = hosts.get(args.host);
  if (sink !== undefined) return sink;
  const names = [...hosts.keys()].join(', ') || 'none';
  throw new SluiceError(
    'SLUICE_USAGE',
    `rsh: there is no host ${JSON.stringify(args.host)} in ${file} (hosts: ${names})${passedOver(file, process.env)}; or name the sink: --to ADDRESS`,
  );
}

/** Node decodes arguments as UTF-8 and replaces what is none: then the words come from the kernel, as bytes. */
function commandBytes({ command, commandAt }: SshArguments, args: readonly string[]): Buffer | undefined {
  if (command === undefined) return undefined;
  if (!command.includes('\ufffd')) return Buffer.from(command);
  const raw = readFileSync('/proc/self/cmdline', 'latin1').split('\0').slice(0, -1);
  return Buffer.from(raw.slice(raw.length - (args.length - commandAt)).join(' '), 'latin1');
}

const toPattern = (text: string): RegExp =>
  new RegExp(
    `^${text
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  );

/** What the caller asks to be carried, of what may be: `LANG` and `LC_*` as Debian's ssh does unasked. */
function environmentOf({ sendEnv, setEnv }: SshArguments): Record<string, string> {
  const patterns = ['LANG', 'LC_*', ...sendEnv].map(toPattern);
  const own = Object.entries(process.env).filter(([name]) => patterns.some((pattern) => pattern.test(name)));
  const all = [...own, ...Object.entries(setEnv)].filter(
    (entry): entry is [string, string] => isCarried(entry[0]) && entry[1] !== undefined,
  );
  return Object.fromEntries(all);
}

function requestOf(parsed: SshArguments, args: readonly string[]): Request {
  const command = parsed.isSubsystem ? undefined : commandBytes(parsed, args);
  if (command !== undefined && command.length > LIMITS.command)
    throw new SluiceError(
      'SLUICE_USAGE',
      `rsh: a command may have ${LIMITS.command} bytes, and this has ${command.length}`,
    );
  return {
    environment: environmentOf(parsed),
    ...(command && { command }),
    ...(parsed.user !== undefined && { user: parsed.user }),
  };
}

function serviceOf(args: SshArguments): string {
  const { host, isSubsystem, command } = args;
  if (has(args, 'via')) {
    if (SERVICE.test(host)) return host;
    throw new SluiceError(
      'SLUICE_USAGE',
      `rsh: with --via the host is the name of a service, got ${JSON.stringify(host)}`,
    );
  }
  if (!isSubsystem) return DEFAULT_SERVICE;
  if (command === undefined || !SERVICE.test(command))
    throw new SluiceError(
      'SLUICE_USAGE',
      `rsh: -s wants the name of a subsystem, got ${JSON.stringify(command ?? '')}`,
    );
  return command;
}

async function readLink(parsed: SshArguments, args: readonly string[], { registry }: Environment): Promise<Link> {
  const source = parseAddress('stdio:', { registry, role: 'source', folder: process.cwd() });
  return {
    name: 'rsh',
    source,
    sink: await findSink(parsed, registry),
    services: new Map(),
    allow: [],
    idleAfterEnd: 0, // the far command may work as long as it likes after the end of its input, as with ssh
    ask: { service: serviceOf(parsed), request: requestOf(parsed, args), takeOver: has(parsed, 'take-over') },
    once: true,
  };
}

/**
 * Resolves with the process's exit status.
 *
 * @param showHelp prints the help of this command
 */
export async function runRsh(args: readonly string[], showHelp: () => void): Promise<number> {
  const parsed = parseSshArguments(args, RSH_OPTIONS);
  if (has(parsed, 'help')) {
    showHelp();
    return 0;
  }
  if (parsed.isProbe) return 0; // git asks whether this is an ssh, and reads nothing
  const { isInputEmpty } = parsed;
  const environment = await createEnvironment(globalFlags(parsed), {
    level: 'warning',
    isStandIn: true,
    isInputEmpty,
    holdsOutput: true,
  });
  const { gateway, log } = environment;
  if (parsed.ignored.length > 0) log.debug('ignored, as it has no meaning here', { options: parsed.ignored.join(' ') });
  const signalled = watchAsProxy(environment);
  const opened = await gateway.open(await readLink(parsed, args, environment));
  const outcome = await opened.done;
  const status = await signalled.status();
  if (status !== undefined) return status;
  tellFailure(outcome);
  return outcome?.status !== undefined && 'signal' in outcome.status ? 255 : statusOf(outcome, true);
}
