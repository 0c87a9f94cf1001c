/**
 * `shell:`: the user's shell runs the client's own command, as sshd does; without one it reads its commands from the
 * client. Whoever may use such a link can do whatever that user can, so the link must say by name who may.
 */
import { stat } from 'node:fs/promises';
import { defineTransport, type DialContext } from '../plugins/contract/index.ts';
import { findUser, type Account } from './accounts.ts';
import { dialCommand, type Program } from './exec-command.ts';
import { asUser, environment, locate, withLastArgument } from './exec-program.ts';

const accountOf = (user: string | undefined): Promise<Account> => findUser(user ?? String(process.getuid?.() ?? 0));

async function prepare(
  account: Account,
  env: Readonly<Record<string, string>>,
  context: DialContext,
): Promise<Program> {
  const isHome = (await stat(account.home).catch(() => undefined))?.isDirectory() ?? false;
  const { command } = context.request ?? {};
  const shell = {
    file: await locate(account.shell),
    args: command === undefined ? ['-l'] : ['-c'],
    cwd: isHome ? account.home : '/',
    env: environment(env, account, context),
  };
  return asUser(command === undefined ? shell : withLastArgument(shell, command), account);
}

export const shell = defineTransport({
  contract: 1,
  name: 'shell',
  schemes: ['shell'],
  grammar: 'shell:',
  summary: 'the user’s shell runs the client’s own command, as sshd does; only for clients that are named',
  literal: true,
  diesWithPeer: true,
  needsIdentity: true,
  reach: () => 'local',
  options: {
    user: { type: 'string', help: 'run as this user, with all its groups (only root can); by default as ourselves' },
    env: { type: 'map', help: 'NAME=VALUE to add to its environment' },
    onAbort: {
      type: 'choice',
      values: ['term', 'kill', 'eof'],
      default: 'term',
      help: 'what a cut is to the command: TERM (KILL after 5 s), KILL, or an end of input',
    },
  },
  capabilities: ['half-close', 'proves-end', 'tells-cut', 'diagnostics', 'exit-status'],

  parse({ target, options }) {
    if (target !== '')
      throw new Error(`nothing may follow "shell:", got ${JSON.stringify(target)}; the client says what runs`);
    return options;
  },

  caution({ user }, who) {
    if (process.getuid?.() !== 0 || user !== undefined) return undefined; // whoever writes "user: root" knows
    return `shell: runs any command as root for ${who.join(', ')}; give it a "user"`;
  },

  async inspect({ user }) {
    try {
      await locate((await accountOf(user)).shell);
      return [];
    } catch (error) {
      return [(error as Error).message];
    }
  },

  async dial({ user, env, onAbort }, context) {
    const account = await accountOf(user);
    const program = await prepare(account, env, context);
    return dialCommand(program, { name: `shell:${account.name}`, onAbort }, context.signal);
  },
});
