/**
 * What a command is started with: its file, its environment, and the account that it runs as. `exec`, `shell` and `sftp`
 * share it.
 */
import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { DialContext, Request } from '../plugins/contract/index.ts';
import type { Account } from './accounts.ts';
import type { Program } from './exec-command.ts';

/** What a command sees of our own environment; anything else (tokens among it) only through the option `env`. */
const INHERITED = /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR)$/;
const SAFE_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

/** Why a path cannot be started. */
async function faultOf(file: string): Promise<string> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return 'is not there';
  return found.isDirectory() ? 'is a folder' : 'is not executable';
}

/**
 * The program's file, looked up in our own PATH: never in one that the command's environment brings.
 *
 * @param more folders to look in after those
 */
export async function locate(name: string, more: readonly string[] = []): Promise<string> {
  if (name.includes('/')) {
    if (await isExecutable(name)) return name;
    throw new Error(`${name} ${await faultOf(name)}`);
  }
  const path = process.env['PATH'] ?? SAFE_PATH;
  for (const folder of [...path.split(delimiter), ...more]) {
    const file = join(folder, name);
    if (folder.startsWith('/') && (await isExecutable(file))) return file;
  }
  const told = `command not found: ${name}`;
  throw Object.assign(new Error(`${told} (looked in ${[path, ...more].join(delimiter)})`), { told });
}

/** What a command is told of who started it: link, peer, and who has proved to be there. */
function aboutClient({ link, peer, identity, request }: DialContext): Record<string, string> {
  return {
    SLUICE_LINK: link,
    SLUICE_PEER: peer.address,
    ...(identity && { SLUICE_IDENTITY: identity.name }),
    ...(request?.user !== undefined && { SLUICE_USER: request.user }),
  };
}

/** The environment of a command: a short list of ours, what the client may set of it, and what the configuration adds. */
export function environment(
  env: Readonly<Record<string, string>>,
  account: Account | undefined,
  context: DialContext,
): Record<string, string> {
  const inherited = Object.entries(process.env).filter(([name]) => INHERITED.test(name)) as [string, string][];
  const own = account && { HOME: account.home, USER: account.name, LOGNAME: account.name, SHELL: account.shell };
  const { environment: asked = {} } = context.request ?? {};
  const { variables } = context;
  const all = { PATH: SAFE_PATH, ...Object.fromEntries(inherited), ...own, ...asked, ...variables };
  return { ...all, ...aboutClient(context), ...env };
}

/** Another user's command goes through setpriv: it sets all groups, which Node does not, and takes new privileges away. */
export async function asUser(program: Program, account: Account): Promise<Program> {
  const own = process.getuid?.();
  if (own === account.uid) return program;
  if (own !== 0) throw new Error(`only root can run a command as ${account.name}`);
  const identity = [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--init-groups', '--no-new-privs'];
  return { ...program, file: await locate('setpriv'), args: [...identity, '--', program.file, ...program.args] };
}

const COMMAND_VARIABLE = 'SSH_ORIGINAL_COMMAND';

/** The client's command as a variable, as sshd gives it to a forced command. */
export function withOriginalCommand(program: Program, { command }: Partial<Request> = {}): Program {
  if (command === undefined) return program;
  if (isUtf8(command)) return { ...program, env: { ...program.env, [COMMAND_VARIABLE]: command.toString() } };
  return rebuilding(command, `export ${COMMAND_VARIABLE}="$c"; exec "$@"`, program);
}

/** The client's command as the last argument. */
export function withLastArgument(program: Program, command: Buffer): Program {
  if (isUtf8(command)) return { ...program, args: [...program.args, command.toString()] };
  return rebuilding(command, 'exec "$@" "$c"', program);
}

/** Bytes of an argument of the shell; the kernel takes 128 KiB. */
const PIECE = 16 * 1024;

/**
 * Node encodes arguments and variables as UTF-8, and a command may be in any bytes: a shell makes them of octal escapes,
 * and becomes the program. The dot keeps a newline at the end, which `$(…)` would take away.
 */
function rebuilding(bytes: Buffer, script: string, program: Program): Program {
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length; at += PIECE)
    pieces.push([...bytes.subarray(at, at + PIECE)].map((byte) => `\\0${byte.toString(8).padStart(3, '0')}`).join(''));
  const setup = `c=$(printf %b ${pieces.map((_, at) => `"$${at + 1}"`).join(' ')}; echo .); c=\${c%.}; shift ${pieces.length}`;
  return {
    ...program,
    file: '/bin/sh',
    args: ['-c', `${setup}; ${script}`, 'sh', ...pieces, program.file, ...program.args],
  };
}
