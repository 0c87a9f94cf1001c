/** The command line: commands, flags and help. The only import of commander; each command's work is loaded when it runs. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { BUNDLED_PLUGINS } from '../bundled-plugins.ts';
import { SluiceError } from '../errors.ts';
import { parseDuration } from '../options.ts';
import { VERSION } from '../version.ts';
import type {
  AuthorizeFlags,
  CheckFlags,
  ConfigFlags,
  LinkFlags,
  PluginCheckFlags,
  PluginNewFlags,
  TransportsFlags,
  TunnelFlags,
} from './flags.ts';

const repeated = (value: string, earlier: readonly string[] = []): string[] => [...earlier, value];

function duration(value: string): number {
  const milliseconds = value === 'off' ? 0 : parseDuration(value);
  if (milliseconds === undefined) throw new InvalidArgumentError('expected a duration such as 20s or 5m, or "off".');
  return milliseconds;
}

function days(value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1 || number > 7300)
    throw new InvalidArgumentError('expected a number of days, 1 to 7300.');
  return number;
}

const withCommandFlags = (command: Command): Command =>
  command
    .optionsGroup('For an exec: sink:')
    .option('--user <name>', 'run the command as this user')
    .option('--cwd <folder>', 'run it in this folder')
    .option('--env <name=value>', 'add to its environment (may be repeated)', repeated)
    .option('--handoff <when>', 'give it the accepted socket itself: auto or never')
    .option('--on-abort <how>', 'what a cut is to it: term, kill or eof')
    .optionsGroup('Options:')
    .option(
      '--idle <time>',
      'after one direction has ended: longest silence of the other, or "off" (default 60s)',
      duration,
    );

const withGlobalFlags = (command: Command): Command =>
  command
    .option('--plugin <file>', 'load a plugin: a file, a folder, a package or sluice/NAME (may be repeated)', repeated)
    .optionsGroup('Log:')
    .option('-v, --verbose', 'log more')
    .option('-q, --quiet', 'log warnings and errors only')
    .addOption(new Option('--log-format <format>', 'text or json').choices(['text', 'json']).default('text'));

const examples = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`;

/** commander throws this for help and for usage mistakes, after printing; 0 is help. */
export const isHelp = (error: unknown): error is CommanderError => error instanceof CommanderError;

/** @param exit takes the status of the command that ran. */
export function createProgram(exit: (status: number) => void): Command {
  const program = new Command('sluice')
    .description('Joins any source of byte streams to any sink. An end is never confused with a cut.')
    .version(VERSION, '--version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .exitOverride()
    .enablePositionalOptions()
    .configureOutput({
      writeErr: (text) => process.stderr.write(text.replace(/^error: (.*)/, 'sluice: $1 [SLUICE_USAGE]')),
    })
    .showHelpAfterError('(sluice --help shows the commands)')
    .addHelpText(
      'after',
      examples(
        'sluice link "unix:/run/borg/repo.sock" "exec:borg serve --restrict-to-path /srv/borg"',
        'sluice connect "wss://backup.example:8443/borg"',
        'BORG_RSH="sluice rsh" borg create ssh://backup/srv/borg/main::{now} /home',
        'sluice run -c /etc/sluice/sluice.yaml',
        'sluice transports        # the schemes and their options',
      ),
    )
    .addHelpText(
      'after',
      `\nPlugins that come with it (--plugin sluice/NAME): ${Object.keys(BUNDLED_PLUGINS).join(', ')}`,
    );
  addLink(program, exit);
  addConnect(program, exit);
  addRsh(program, exit);
  addTunnel(program, exit);
  addRun(program, exit);
  addCheck(program, exit);
  addAuthorize(program, exit);
  addRevoke(program, exit);
  addTransports(program);
  addPlugin(program, exit);
  return program;
}

function addLink(program: Command, exit: (status: number) => void): void {
  const link = program
    .command('link')
    .summary('relay from a source to a sink until stopped')
    .description('Accepts connections from SOURCE and joins each to a new one to SINK, until stopped.')
    .argument('<source>', 'address that is listened on')
    .argument('<sink>', 'address that is dialed for each connection')
    .option(
      '--allow <name>',
      'who may use a source that a network can reach; "anyone" for all (may be repeated)',
      repeated,
    )
    .option('--service <name=sink>', 'answer a further service, a subsystem as sftp (may be repeated)', repeated)
    .option('-c, --config <file>', 'configuration whose identities --allow names')
    .option('--once', 'end after one connection');
  withGlobalFlags(withCommandFlags(link))
    .addHelpText(
      'after',
      examples(
        'sluice link "unix:/run/borg/repo.sock?mode=0660&group=backup" "exec:borg serve"',
        'sluice link "tcp://127.0.0.1:2222" "unix:/run/service.sock"',
        'sluice link --allow anyone "wss://0.0.0.0:8443/borg?cert=self" "exec:borg serve --restrict-to-path /srv/borg"',
      ),
    )
    .action(async (source: string, sink: string, flags: LinkFlags) => {
      const { runLink } = await import('./link.ts');
      exit(await runLink(source, sink, flags));
    });
}

function addConnect(program: Command, exit: (status: number) => void): void {
  const connect = program
    .command('connect')
    .summary('join standard input and output to a sink')
    .description(
      'The same as: sluice link stdio: SINK. Ends with the exit status of the far command, where there is one.',
    )
    .argument('<sink>', 'address that is dialed');
  withGlobalFlags(withCommandFlags(connect))
    .addHelpText(
      'after',
      examples(
        'sluice connect "wss://backup.example:8443/borg"',
        'BORG_RSH="sh -c \'exec sluice connect -q unix:/run/borg/repo.sock\'" borg list ssh://x/srv/borg',
        'ssh -o ProxyCommand=\'sluice connect "wss://gate.example/ssh"\' host',
      ),
    )
    .action(async (sink: string, flags: LinkFlags) => {
      const { runLink } = await import('./link.ts');
      exit(await runLink('stdio:', sink, flags, 'warning'));
    });
}

function addRsh(program: Command, exit: (status: number) => void): void {
  const rsh: Command = program
    .command('rsh')
    .summary('stand in for ssh: for borg, rsync, git, sftp, sshfs, …')
    .description(
      'Takes ssh’s arguments and opens a stream to the host’s sink. Every short option is ssh’s; ours are long and come ' +
        'before the host, which is looked up under "hosts:" in the configuration.',
    )
    .usage('[our options] [ssh options] [user@]host [command…]')
    .argument('[arguments...]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .addHelpText('after', RSH_HELP)
    .action(async (_words: readonly string[], _flags: unknown, command: Command) => {
      const { runRsh } = await import('./rsh.ts');
      exit(await runRsh(command.args, () => rsh.outputHelp()));
    });
}

const RSH_HELP = `
Options:
  --to <address>         the sink, instead of looking the host up
  --via <address>        a sluice where the host is looked up, as the name of a service
  --config <file>        configuration file
  --resume <time>        how long a lost connection is redialed (default 2m)
  --no-resume            end when the connection is lost, as ssh does
  --take-over            end what is left of our earlier sessions there
  --plugin <file>        load a plugin: a file, a folder, a package or sluice/NAME
  --log-format <format>  text or json
  --help                 print help

Of ssh’s options -p -l -o -i -q -T -s -x -n -v -G and -- are taken, and what has no meaning here is ignored (-v tells
which); -L -R -D -J -A -W -N -f and -tt are refused.
${examples(
  'BORG_RSH="sluice rsh" borg create ssh://backup/srv/borg/main::{now} /home',
  'rsync -a -e "sluice rsh" /home/ backup:home/',
  'GIT_SSH_COMMAND="sluice rsh" git clone backup:/srv/git/project.git',
  'sftp -S sluice-rsh backup       # the same command by the name that a program can be',
  'sluice rsh --to "wss://backup.example/shell" any uname -a',
)}`;

/** What is given to a command that takes nothing is the configuration, most likely. */
function withoutArguments(command: Command): Command {
  return command.allowExcessArguments().hook('preAction', () => {
    const [file] = command.args;
    if (file !== undefined)
      throw new SluiceError('SLUICE_USAGE', `${command.name()} takes no argument; name the configuration: -c ${file}`);
  });
}

function withConfigFlag(command: Command): Command {
  return withGlobalFlags(command.option('-c, --config <file>', 'configuration file'));
}

function addTunnel(program: Command, exit: (status: number) => void): void {
  const tunnel = program
    .command('tunnel')
    .summary('a tunnel for as long as this runs')
    .description(
      'Opens a tunnel to the sluice at ADDRESS, and keeps it up while this runs. The far side may be one that we reach, ' +
        'or, with "stdio:", one that has started us.',
    )
    .argument('<address>', 'address that is dialed; or stdio:')
    .option('--serve <name=sink>', 'offer a service to the far side (may be repeated)', repeated)
    .option('--open <source=name>', 'reach a service of the far side (may be repeated)', repeated)
    .option('--run <name>', 'join standard input and output to this service, and end with it')
    .option('--take-over', 'end what is left there of our earlier tunnels without a connection')
    .option('-c, --config <file>', 'with stdio: configuration whose tunnels with "listen: stdio:" are meant');
  withGlobalFlags(tunnel)
    .addHelpText(
      'after',
      examples(
        'sluice tunnel "wss://client.example/tunnel" --serve "repo=exec:borg serve --restrict-to-path /srv/borg" --run backup',
        'sluice tunnel "wss://hub.example/tunnel" --open "unix:/run/user/1000/db.sock=database"',
        'sluice tunnel "wss://hub.example/tunnel" --open "tcp://127.0.0.1:5432=database"',
        'sluice tunnel "exec:ssh borgc@client sluice tunnel stdio:" --serve "repo=exec:borg serve" --run backup',
      ),
    )
    .action(async (address: string, flags: TunnelFlags) => {
      const { runTunnel } = await import('./tunnel.ts');
      exit(await runTunnel(address, flags));
    });
}

function addRun(program: Command, exit: (status: number) => void): void {
  const run = program
    .command('run')
    .summary('run all links of a configuration')
    .description('Runs all links of a configuration file.');
  withConfigFlag(withoutArguments(run))
    .addHelpText(
      'after',
      examples(
        'sluice run -c sluice.yaml',
        'sluice run       # SLUICE_CONFIG, ~/.config/sluice/sluice.yaml or /etc/sluice/sluice.yaml',
      ),
    )
    .action(async (flags: ConfigFlags) => {
      const { runGateway } = await import('./run.ts');
      exit(await runGateway(flags));
    });
}

function addCheck(program: Command, exit: (status: number) => void): void {
  const check = program
    .command('check')
    .summary('validate a configuration; start nothing')
    .description('Validates a configuration, prints what would run and what a pair cannot carry, and starts nothing.');
  withConfigFlag(withoutArguments(check))
    .option('--access', 'print who can reach what, and how each proves who they are, instead')
    .option('--schema', 'print the JSON Schema of a configuration, for editors, instead')
    .addHelpText('after', examples('sluice check -c sluice.yaml', 'sluice check --schema > sluice.schema.json'))
    .action(async (flags: CheckFlags) => {
      const { runCheck } = await import('./check.ts');
      exit(await runCheck(flags));
    });
}

function addAuthorize(program: Command, exit: (status: number) => void): void {
  const authorize = program
    .command('authorize')
    .summary('let somebody in: make a token or a certificate')
    .description(
      'Makes a token for NAME (or a certificate), writes its entry into the configuration, and prints what the client needs.',
    )
    .argument('<name>', 'name of the identity')
    .option('--link <name>', 'allow it on this link, too (may be repeated)', repeated)
    .option('--tunnel <name>', 'allow it as the far side of this tunnel that listens (may be repeated)', repeated)
    .option('--certificate', 'a key and a client certificate, signed by our own small authority, instead of a token')
    .option('--request <file>', 'sign this certificate request instead: the key stays with the client')
    .option('--days <number>', 'how long a certificate is good (default 825)', days)
    .option(
      '--out <file>',
      'where the secret goes (default NAME.token, or NAME.pem and NAME.key); "-" is standard output',
    )
    .option('--replace', 'take from an identity of that name what it has');
  withConfigFlag(authorize)
    .addHelpText(
      'after',
      examples(
        'sluice authorize laptop --link borg',
        'sluice authorize client --tunnel client',
        'sluice authorize desk --request desk.csr',
      ),
    )
    .action(async (name: string, flags: AuthorizeFlags) => {
      const { runAuthorize } = await import('./authorize.ts');
      exit(await runAuthorize(name, flags));
    });
}

function addRevoke(program: Command, exit: (status: number) => void): void {
  const revoke = program
    .command('revoke')
    .summary('let somebody in no more')
    .description('Takes from NAME what proves it; a gateway that runs closes its connections within two seconds.')
    .argument('<name>', 'name of the identity');
  withConfigFlag(revoke)
    .addHelpText('after', examples('sluice revoke laptop'))
    .action(async (name: string, flags: ConfigFlags) => {
      const { runRevoke } = await import('./authorize.ts');
      exit(await runRevoke(name, flags));
    });
}

function addTransports(program: Command): void {
  withGlobalFlags(program.command('transports'))
    .summary('list the schemes and their options')
    .description('Prints the table of schemes, with their options.')
    .option('--json', 'as JSON')
    .action(async (flags: TransportsFlags) => {
      const { runTransports } = await import('./transports.ts');
      await runTransports(flags);
    });
}

function addPlugin(program: Command, exit: (status: number) => void): void {
  const plugin = program
    .command('plugin')
    .summary('write a plugin, and check that one keeps its promises')
    .description('For those who write transports and layers.')
    .helpCommand(false);
  plugin
    .command('new')
    .summary('write a package that passes its test at once')
    .description('Writes the folder sluice-NAME: a plugin, its test, a README and a CI file.')
    .argument('<name>', 'the scheme, or the word before the plus sign')
    .option('--layer', 'a layer instead of a transport')
    .action(async (name: string, flags: PluginNewFlags) => {
      const { runPluginNew } = await import('./plugin-new.ts');
      exit(runPluginNew(name, flags));
    });
  plugin
    .command('check')
    .summary('run the suite of promises against a plugin')
    .description('Examines all transports and layers of a plugin: ends with 0 if every promise is kept, else with 1.')
    .argument('<plugin>', 'a file, a folder, a package or sluice/NAME')
    .option(
      '--source <address>',
      'where it listens ({n}: a number, {folder}: an empty folder); of a layer: its options',
    )
    .option(
      '--sink <address>',
      'what is dialed, for a plugin that only dials ({bridge}: a command that the suite talks to)',
    )
    .addHelpText(
      'after',
      examples(
        'sluice plugin check ./serial.ts',
        'sluice plugin check ./chat.ts --source "chat:room-{n}"',
        'sluice plugin check sluice/command --sink "command:{bridge}"',
        'sluice plugin check ./squeeze.ts --source "squeeze.level=3"',
      ),
    )
    .action(async (path: string, flags: PluginCheckFlags) => {
      const { runPluginCheck } = await import('./plugin-check.ts');
      exit(await runPluginCheck(path, flags));
    });
}
