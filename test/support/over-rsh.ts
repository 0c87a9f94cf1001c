/** Programs that have a remote shell, with `sluice rsh` for it: the far host is `far`. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { run, type Ran } from './programs.ts';
import type { Far } from './rsh.ts';
import type { Scope } from './scope.ts';
import { makeTree } from './tree.ts';

export const rsync = (scope: Scope, far: Far, ...args: string[]): Promise<Ran> =>
  run(scope, 'rsync', ['-e', far.rsh, ...args], { env: far.environment });

export const git = (scope: Scope, far: Far, ...args: string[]): Promise<Ran> =>
  run(scope, 'git', ['-c', 'user.name=me', '-c', 'user.email=me@near', ...args], {
    env: { ...far.environment, GIT_SSH_COMMAND: far.rsh },
  });

/** With a port, as people have them: git gives it to its ssh only if that said yes to `-G`. */
export const gitUrl = (path: string): string => `ssh://git@far:2222${path}`;

/** In batch mode: the first command that fails ends it. */
export const sftp = (scope: Scope, far: Far, commands: readonly string[], ...options: string[]): Promise<Ran> =>
  run(scope, 'sftp', ['-S', far.rsh, ...options, '-b', '-', 'far'], {
    env: far.environment,
    input: commands.map((command) => `${command}\n`).join(''),
  });

export const scp = (scope: Scope, far: Far, ...args: string[]): Promise<Ran> =>
  run(scope, 'scp', ['-S', far.rsh, ...args], { env: far.environment });

/** To a good end. */
export async function ok(ran: Promise<Ran>): Promise<Ran> {
  const { code, stderr } = await ran;
  assert.equal(code, 0, stderr);
  return ran;
}

/** A repository with one commit: a folder `tree`. Resolves with its folder. */
export async function makeRepository(scope: Scope, far: Far, files: number, total: number): Promise<string> {
  const folder = join(scope.folder(), 'repository');
  mkdirSync(folder);
  makeTree(join(folder, 'tree'), 'git', files, total);
  for (const args of [
    ['init', '-q'],
    ['add', '.'],
    ['commit', '-q', '-m', 'a tree'],
  ])
    await ok(git(scope, far, '-C', folder, ...args));
  return folder;
}
