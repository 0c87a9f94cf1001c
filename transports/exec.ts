/**
 * `exec:command line`: starts a command for each connection. The line is split into words as a shell would, and never
 * run by one. Where the source holds an untouched socket, that socket becomes the command's standard input and output
 * (hand-off); elsewhere the command gets pipes.
 */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { split } from 'shlex';
import { defineTransport, type DialContext } from '../plugins/contract/index.ts';
import { findUser, type Account } from './accounts.ts';
import { Command, CommandStream, type Program } from './exec-command.ts';

/** What a command sees of our own environment; anything else (tokens among it) only through the option `env`. */
const INHERITED = /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR)$/;
const SAFE_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

interface ExecAddress {
  readonly words: readonly string[];
  readonly user: string | undefined;
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly handoff: 'auto' | 'never';
  readonly onAbort: 'term' | 'kill' | 'eof';
}

function splitWords(line: string): string[] {
  try {
    return split(line);
  } catch (cause) {
    throw new Error(`a quote is not closed in ${JSON.stringify(line)}`, { cause });
  }
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

/** The program's file, looked up in our own PATH: never in one that the command's environment brings. */
async function locate(name: string): Promise<string> {
  if (name.includes('/')) {
    if (await isExecutable(name)) return name;
    throw new Error(`${name} is not there or not executable`);
  }
  const path = process.env['PATH'] ?? SAFE_PATH;
  for (const folder of path.split(delimiter)) {
    const file = join(folder, name);
    if (folder.startsWith('/') && (await isExecutable(file))) return file;
  }
  throw new Error(`command not found: ${name} (looked in ${path})`);
}

function environment({ env }: ExecAddress, account: Account | undefined, context: DialContext): Record<string, string> {
  const inherited = Object.entries(process.env).filter(([name]) => INHERITED.test(name)) as [string, string][];
  const own = account && { HOME: account.home, USER: account.name, LOGNAME: account.name, SHELL: account.shell };
  const about = { SLUICE_LINK: context.link, SLUICE_PEER: context.peer.address };
  return { PATH: SAFE_PATH, ...Object.fromEntries(inherited), ...own, ...about, ...env };
}

/** Another user's command goes through setpriv: it sets all groups, which Node does not, and takes new privileges away. */
async function asUser(program: Program, account: Account): Promise<Program> {
  const own = process.getuid?.();
  if (own === account.uid) return program;
  if (own !== 0) throw new Error(`only root can run a command as ${account.name}`);
  const identity = [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--init-groups', '--no-new-privs'];
  return { ...program, file: await locate('setpriv'), args: [...identity, '--', program.file, ...program.args] };
}

async function prepare(address: ExecAddress, context: DialContext): Promise<Program> {
  const [name = '', ...args] = address.words;
  const account = address.user === undefined ? undefined : await findUser(address.user);
  const { cwd } = address;
  if (cwd !== undefined && !(await stat(cwd).catch(() => undefined))?.isDirectory())
    throw new Error(`there is no folder ${cwd}`);
  const program = { file: await locate(name), args, cwd, env: environment(address, account, context) };
  return account === undefined ? program : asUser(program, account);
}

export const exec = defineTransport({
  name: 'exec',
  schemes: ['exec'],
  grammar: 'exec:COMMAND LINE',
  summary: 'starts a command for each connection, without a shell',
  literal: true,
  options: {
    user: { type: 'string', help: 'run as this user, with all its groups (only root can)' },
    cwd: { type: 'path', help: 'folder to run in' },
    env: { type: 'map', help: 'NAME=VALUE to add to its environment, which is otherwise a short list' },
    handoff: {
      type: 'choice',
      values: ['auto', 'never'],
      default: 'auto',
      help: 'auto: a plain socket itself becomes standard input and output; never: always pipes',
    },
    onAbort: {
      type: 'choice',
      values: ['term', 'kill', 'eof'],
      default: 'term',
      help: 'what a cut is to the command: TERM (KILL after 5 s), KILL, or an end of input',
    },
  },
  capabilities: ['half-close', 'proves-end', 'tells-cut', 'diagnostics', 'exit-status', 'hand-off'],

  parse({ target, words, options, resolvePath }): ExecAddress {
    const [name, ...args] = words ?? splitWords(target);
    if (name === undefined || name === '') throw new Error('there is no command');
    return { words: [name.includes('/') ? resolvePath(name) : name, ...args], ...options };
  },

  async inspect({ words: [name = ''], cwd, user }) {
    const checks: Promise<unknown>[] = [locate(name)];
    if (cwd !== undefined) checks.push(access(cwd));
    if (user !== undefined) checks.push(findUser(user));
    const results = await Promise.allSettled(checks);
    return results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as Error).message] : []));
  },

  async dial(address, context) {
    const command = await Command.start(await prepare(address, context), ['pipe', 'pipe', 'pipe']);
    const stream = new CommandStream(command, address.onAbort);
    const { stderr, pid } = command.child;
    if (context.signal.aborted) stream.destroy();
    return {
      stream,
      peer: { address: `exec:${address.words[0]}[${pid}]` },
      ...(stderr && { diagnostics: stderr }),
      exit: command.exit,
    };
  },

  async adopt(address, handle, context) {
    if (address.handoff === 'never') return undefined;
    const command = await Command.start(await prepare(address, context), [handle, handle, 'pipe']);
    const { stderr } = command.child;
    return { exit: command.exit, abort: () => command.abort(address.onAbort), ...(stderr && { diagnostics: stderr }) };
  },
});
