/**
 * `sftp:`: the system's sftp-server, for clients that ask for the subsystem `sftp` (sftp, sshfs, scp, restic). `start` only
 * chooses the folder to begin in; `sftp:/ROOT` is a boundary (sftp-boundary.ts).
 */
import { realpath, stat } from 'node:fs/promises';
import { homedir, userInfo } from 'node:os';
import { defineTransport, type DialContext } from '../plugins/contract/index.ts';
import { findUser, type Account } from './accounts.ts';
import { dialCommand, type Program } from './exec-command.ts';
import { asUser, environment, locate } from './exec-program.ts';
import { confine, locateBoundary } from './sftp-boundary.ts';

/** Where distributions put it; it is on nobody's PATH. */
const FOLDERS = ['/usr/lib/openssh', '/usr/libexec/openssh', '/usr/lib/ssh', '/usr/libexec', '/usr/local/libexec'];

interface SftpAddress {
  /** What the client may see; `undefined`: all that the user may. */
  readonly root: string | undefined;
  readonly start: string | undefined;
  readonly readonly: boolean;
  readonly user: string | undefined;
}

const locateServer = (): Promise<string> => locate('sftp-server', FOLDERS);

/** A folder by its own name: a link to it would lead out of the boundary. @throws Error if there is none */
async function folder(path: string): Promise<string> {
  const real = await realpath(path).catch(() => path);
  if ((await stat(real).catch(() => undefined))?.isDirectory()) return real;
  throw new Error(`there is no folder ${path}`);
}

const isBelow = (path: string, root: string): boolean =>
  path === root || path.startsWith(root === '/' ? root : `${root}/`);

/** Where it begins, if nothing says otherwise: at home, as with sshd. */
async function homeOf(account: Account | undefined): Promise<string> {
  const home = account?.home ?? homedir();
  return (await stat(home).catch(() => undefined))?.isDirectory() ? home : '/';
}

async function prepare(address: SftpAddress, context: DialContext): Promise<Program> {
  const { readonly, user } = address;
  const account: Account | undefined = user === undefined ? undefined : await findUser(user);
  const root = address.root === undefined ? undefined : await folder(address.root);
  const start = address.start === undefined ? root : await folder(address.start);
  if (root !== undefined && start !== undefined && !isBelow(start, root))
    throw new Error(`${start} is not below ${root}`);
  const args = [...(readonly ? ['-R'] : []), ...(start === undefined ? [] : ['-d', start.replaceAll('%', '%%')])];
  const program = {
    file: await locateServer(),
    args,
    cwd: await homeOf(account),
    env: environment({}, account, context),
  };
  if (root !== undefined) return confine(program, { root, readonly, account });
  return account === undefined ? program : asUser(program, account);
}

export const sftp = defineTransport({
  contract: 1,
  name: 'sftp',
  schemes: ['sftp'],
  grammar: 'sftp:[/ROOT]',
  summary: 'the system’s sftp-server; a ROOT is a boundary, kept by a mount namespace',
  options: {
    start: { type: 'path', help: 'folder to begin in; it is no boundary' },
    readonly: { type: 'boolean', default: false, help: 'nothing can be changed' },
    user: { type: 'string', help: 'run as this user, with all its groups (only root can)' },
  },
  capabilities: ['half-close', 'proves-end', 'tells-cut', 'diagnostics', 'exit-status'],
  diesWithPeer: true,
  personal: ['target', 'start'],
  services: ['sftp'],
  reach: () => 'local',

  parse({ target, options, resolvePath }): SftpAddress {
    const root = target === '' ? undefined : resolvePath(target);
    const { start } = options;
    if (root !== undefined && start !== undefined && !isBelow(start, root))
      throw new Error(`option "start": ${start} is not below ${root}`);
    return { root, ...options };
  },

  async inspect({ root, start, user }) {
    const checks: Promise<unknown>[] = [locateServer()];
    if (root !== undefined) checks.push(folder(root), locateBoundary());
    if (start !== undefined) checks.push(folder(start));
    if (user !== undefined) checks.push(findUser(user));
    const results = await Promise.allSettled(checks);
    return results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as Error).message] : []));
  },

  async dial(address, context) {
    const program = await prepare(address, context);
    const name = `sftp:${address.user ?? userInfo().username}`;
    return dialCommand(program, { name, onAbort: 'term' }, context.signal);
  },
});
