/**
 * `npm test [-- FILTER… --flag=value…]`: provides the programs that the tests need, builds the command, and runs the
 * tests. A filter is a file, a folder or a part of a file's name; flags go to node's test runner.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { globSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { TEST_PATH, provision } from './provision.ts';

const MINUTE = 60_000;
const isSoak = Boolean(process.env['SLUICE_SOAK']);

/** Of one test (in Node 22: of one file), and of all together: what hangs must not hold a machine until somebody looks. */
const TEST_TIMEOUT = isSoak ? 60 * MINUTE : 10 * MINUTE;
const RUN_TIMEOUT = isSoak ? 12 * 60 * MINUTE : 60 * MINUTE;

/** Scripts of npm run on the Node of the development dependencies; this runs the tests, and what they start, on another. */
const NODE = process.env['SLUICE_TEST_NODE'] || process.execPath;

/** Two test files at a time: they wait more than they compute, and more would disturb what measures time. */
const CONCURRENCY = 2;

/** A file, a folder, a glob, or a part of a test file's name. */
const patternsOf = (filter: string): string[] =>
  statSync(filter, { throwIfNoEntry: false })?.isFile() || filter.includes('*')
    ? [filter]
    : [`${filter}/**/*.test.ts`, `test/**/*${filter}*.test.ts`];

function selectFiles(filters: readonly string[]): string[] {
  const files = globSync(filters.length > 0 ? filters.flatMap(patternsOf) : 'test/**/*.test.ts');
  if (files.length === 0) throw new Error(`no test file fits ${filters.join(' ')}`);
  return files.toSorted();
}

/** Quiet unless it fails. */
function build(): void {
  const { status, stdout, stderr } = spawnSync('npm', ['run', 'build'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the build failed:\n${stdout}${stderr}`);
}

async function runTests(files: readonly string[], flags: readonly string[]): Promise<number> {
  const settings = [`--test-timeout=${TEST_TIMEOUT}`, `--test-concurrency=${CONCURRENCY}`, '--test-reporter=spec'];
  const runner = spawn(NODE, ['--test', ...settings, ...flags, ...files], {
    stdio: 'inherit',
    env: { ...process.env, PATH: TEST_PATH },
  });
  const timer = setTimeout(() => runner.kill(), RUN_TIMEOUT);
  process.on('SIGINT', () => {}); // the terminal tells the runner too, which then says what was running
  const [code] = (await once(runner, 'exit')) as [number | null];
  clearTimeout(timer);
  return code ?? 1;
}

async function main(words: readonly string[]): Promise<number> {
  process.chdir(dirname(import.meta.dirname));
  const flags = words.filter((word) => word.startsWith('-') && word !== '--provision');
  const files = selectFiles(words.filter((word) => !word.startsWith('-')));
  if (!(await provision(words.includes('--provision')))) return 1;
  build();
  return runTests(files, flags);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
