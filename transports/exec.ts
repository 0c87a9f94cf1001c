/**
 * `exec:command line`: starts a command for each connection. The line is split into words as a shell would, and never
 * run by one. Where the source holds an untouched socket, that socket becomes the command's standard input and output
 * (hand-off); elsewhere the command gets pipes. What a client of `rsh` asks for does not change what runs: the command
 * finds it in SSH_ORIGINAL_COMMAND, as a forced command of sshd's does.
 */
import { access, stat } from 'node:fs/promises';
import { split } from 'shlex';
import { defineTransport, type DialContext } from '../plugins/contract/index.ts';
import { findUser } from './accounts.ts';
import { asUser, environment, locate, withOriginalCommand } from './exec-program.ts';
import { Command, dialCommand, type Program } from './exec-command.ts';

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

async function prepare(address: ExecAddress, context: DialContext): Promise<Program> {
  const [name = '', ...args] = address.words;
  const account = address.user === undefined ? undefined : await findUser(address.user);
  const { cwd } = address;
  if (cwd !== undefined && !(await stat(cwd).catch(() => undefined))?.isDirectory())
    throw new Error(`there is no folder ${cwd}`);
  const program = { file: await locate(name), args, cwd, env: environment(address.env, account, context) };
  const told = withOriginalCommand(program, context.request);
  return account === undefined ? told : asUser(told, account);
}

export const exec = defineTransport({
  contract: 1,
  name: 'exec',
  schemes: ['exec'],
  grammar: 'exec:COMMAND LINE',
  summary: 'starts a command for each connection, without a shell',
  literal: true,
  diesWithPeer: true,
  personal: ['target', 'cwd', 'env'],
  reach: () => 'local',
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
    if (name.includes('{identity}')) throw new Error('{identity} may not stand in the name of the program');
    if (args.some((word) => word.startsWith('{identity}')))
      throw new Error('{identity} may not stand at the start of an argument, where it could be taken for an option');
    return { words: [name.includes('/') ? resolvePath(name) : name, ...args], ...options };
  },

  account: ({ user }) => user,

  async inspect({ words: [name = ''], cwd, user }) {
    const checks: Promise<unknown>[] = [locate(name)];
    if (cwd !== undefined) checks.push(access(cwd));
    if (user !== undefined) checks.push(findUser(user));
    const results = await Promise.allSettled(checks);
    return results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as Error).message] : []));
  },

  async dial(address, context) {
    const program = await prepare(address, context);
    return dialCommand(program, { name: `exec:${address.words[0]}`, onAbort: address.onAbort }, context.signal);
  },

  async adopt(address, handle, context) {
    if (address.handoff === 'never') return undefined;
    const command = await Command.start(await prepare(address, context), [handle, handle, 'pipe']);
    const { stderr } = command.child;
    return { exit: command.exit, abort: () => command.abort(address.onAbort), ...(stderr && { diagnostics: stderr }) };
  },
});
