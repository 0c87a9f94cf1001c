/**
 * A boundary for sftp-server, which has none of its own (`-d` is only where it begins): a mount namespace by bubblewrap, in
 * which there is nothing but the folder, at its own path, the server with its libraries, read-only, and the one line of
 * the user database without which it does not start. No /proc, no devices, no network. Where that cannot be had nothing is
 * served.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Account } from './accounts.ts';
import type { Program } from './exec-command.ts';
import { asUser, locate } from './exec-program.ts';

const run = promisify(execFile);

/** What is to be seen. */
export interface Boundary {
  /** By its own name, no link. */
  readonly root: string;
  readonly readonly: boolean;
  readonly account: Account | undefined;
}

/** @throws Error with the remedy */
export async function locateBoundary(): Promise<string> {
  try {
    return await locate('bwrap');
  } catch (cause) {
    throw new Error(
      'a boundary needs bubblewrap (the program bwrap); install it, or leave the folder after "sftp:" out',
      { cause },
    );
  }
}

/** The shared objects that a program loads, as ldd finds them, and the loader itself. */
async function librariesOf(file: string): Promise<string[]> {
  const { stdout } = await run('ldd', [file], { timeout: 5_000 });
  return [...new Set([...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path ?? ''))];
}

/** A heredoc, as bwrap reads what it puts into a file from a descriptor. The line has no quotes nor backslashes. */
const WITH_PASSWD = 'p=$1; shift; exec "$@" 3<<EOF\n$p\nEOF\n';

/** Wraps a program so that it sees nothing but the folder. */
export async function confine(program: Program, { root, readonly, account }: Boundary): Promise<Program> {
  const bwrap = await locateBoundary();
  const { uid = 0, gid = 0 } = account ?? { uid: process.getuid?.(), gid: process.getgid?.() };
  const visible = [program.file, ...(await librariesOf(program.file))];
  const args = [
    ['--unshare-all', '--die-with-parent', '--new-session', '--cap-drop', 'ALL'],
    uid === 0 ? FILE_CAPABILITIES.flatMap((name) => ['--cap-add', name]) : [],
    visible.flatMap((path) => ['--ro-bind', path, path]),
    ['--dev-bind', '/dev/null', '/dev/null'], // it opens it at once
    [readonly ? '--ro-bind' : '--bind', root, root],
    ['--ro-bind-data', '3', '/etc/passwd', '--remount-ro', '/', '--chdir', root],
    ['--', program.file, ...program.args],
  ].flat();
  const line = `${account?.name ?? 'user'}:x:${uid}:${gid}::/:/bin/sh`;
  const wrapped = { ...program, file: '/bin/sh', cwd: '/', args: ['-c', WITH_PASSWD, 'sh', line, bwrap, ...args] };
  return account === undefined ? wrapped : asUser(wrapped, account);
}

/** What root needs to be root over the folder's files, and no more. */
const FILE_CAPABILITIES = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID'];
