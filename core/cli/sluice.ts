#!/usr/bin/env node
/**
 * The command's entry. It looks at the Node that runs it before anything is loaded that an old Node cannot read: keep
 * it to what Node 12 knows. Compiled code is kept in the user's own cache folder, which saves a fifth of the start.
 */
import module from 'node:module';
import { join } from 'node:path';
import { baseOrHome } from '../xdg.ts';

/** `sluice-rsh` is `sluice rsh`, for those who can name a program only (sftp -S, scp -S). */
const isCalledAsRsh = (): boolean =>
  [process.argv0, process.argv[1] ?? ''].some((name) => /(?:^|\/)sluice-rsh$/.test(name));

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < 22 || (major === 22 && minor < 22)) {
  process.stderr.write(
    `sluice: needs Node 22.22 or newer, and this is ${process.versions.node}; see https://nodejs.org\n`,
  );
  process.exitCode = 255;
} else {
  module.enableCompileCache(join(baseOrHome(process.env, 'XDG_CACHE_HOME', '.cache'), 'sluice'));
  // rsync ends its remote shell by it, and Node would open its debugger to everybody on this machine
  process.on('SIGUSR1', () => {});
  const args = process.argv.slice(2);
  void import('./main.ts').then(({ main }) => main(isCalledAsRsh() ? ['rsh', ...args] : args));
}
