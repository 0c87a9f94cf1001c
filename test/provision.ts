/** Before the tests: finds the programs that they need, and installs what is missing where that is allowed. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { NEEDS, type Need } from './provision/programs.ts';

const INSTALLER = relative(process.cwd(), join(import.meta.dirname, 'provision/install.sh'));

/** Daemons stand in folders that only root has on the PATH. */
export const TEST_PATH = [process.env['PATH'], '/usr/local/sbin', '/usr/sbin', '/sbin'].filter(Boolean).join(delimiter);

function isOnPath(name: string): boolean {
  return TEST_PATH.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const isThere = ({ name, probe }: Need): boolean =>
  probe === undefined ? isOnPath(name) : spawnSync(probe[0], probe.slice(1), { stdio: 'ignore' }).status === 0;

/** Root, CI and `--provision` have consented; a person at a terminal is asked. */
async function mayInstall(command: string, wasAsked: boolean): Promise<boolean> {
  if (process.getuid?.() === 0 || process.env['CI'] || wasAsked) return true;
  if (!process.stdin.isTTY || !process.stdout.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(`Run it now?  ${command}  [y/N] `);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** The commands that bring what is missing: Debian's packages first, since the others are built with them. */
function commandsFor(missing: readonly Need[]): string[][] {
  const packages = [...new Set(missing.flatMap((need) => need.packages))];
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo'];
  const made = missing.flatMap(({ make }) => (make === undefined ? [] : [[...make]]));
  return packages.length === 0 ? made : [[...asRoot, 'sh', INSTALLER, ...packages], ...made];
}

/**
 * Resolves with whether everything is there now; says what is not.
 *
 * @param wasAsked the user gave `--provision`
 */
export async function provision(wasAsked: boolean): Promise<boolean> {
  const missing = NEEDS.filter((need) => !isThere(need));
  if (missing.length === 0) return true;
  const commands = commandsFor(missing);
  const shown = commands.map((words) => words.join(' ')).join(' && ');
  console.error(`The tests need programs that are not here: ${missing.map(({ name }) => name).join(', ')}.`);
  if (!(await mayInstall(shown, wasAsked))) {
    console.error(`This installs them:\n\n    ${shown}\n`);
    return false;
  }
  for (const [file = '', ...args] of commands) spawnSync(file, args, { stdio: 'inherit' });
  const left = missing.filter((need) => !isThere(need)).map(({ name }) => name);
  if (left.length > 0) console.error(`Still missing after the installation: ${left.join(', ')}.`);
  return left.length === 0;
}
