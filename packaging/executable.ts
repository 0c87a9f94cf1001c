/**
 * `npm run package`: makes package/sluice, one executable file that needs no Node on the machine that runs it. It is
 * the Node of the development dependencies with our built command inside (Node's "single executable application").
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { Script } from 'node:vm';
import { rolldown } from 'rolldown';

const PROJECT = dirname(import.meta.dirname);
const BUILD = 'package/build';
const EXECUTABLE = 'package/sluice';

/** A name and a mark that Node fixes: where it looks for what is inside it, and how it knows that something is. */
const RESOURCE = 'NODE_SEA_BLOB';
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** Quiet unless it fails: what these tools say while they succeed helps nobody. */
const run = (file: string, ...args: string[]): string => execFileSync(file, args, { encoding: 'utf8', stdio: 'pipe' });

/** The chunks of the built command, each with its compiled code. @returns asset name → file */
function makeAssets(): Record<string, string> {
  const assets: Record<string, string> = {};
  for (const name of globSync(['sluice.js', 'chunks/*.js'], { cwd: 'dist' })) {
    const source = readFileSync(join('dist', name), 'utf8').replace(/^#!.*/, '');
    const wrapped = `(function (exports, require, module, __filename, __dirname) {${source}\n})`;
    const file = join(BUILD, basename(name));
    writeFileSync(file, wrapped);
    writeFileSync(`${file}.compiled`, new Script(wrapped).createCachedData());
    assets[name] = file;
    assets[`${name}.compiled`] = `${file}.compiled`;
  }
  return assets;
}

/** What goes into the executable, in the form that Node reads from inside itself. */
async function makeBlob(): Promise<string> {
  const [main, output, settings] = ['entry.cjs', 'blob', 'settings.json'].map((name) => join(BUILD, name)) as [
    string,
    string,
    string,
  ];
  const entry = await rolldown({ input: 'packaging/executable-entry.ts', platform: 'node' });
  await entry.write({ file: main, format: 'cjs' });
  await entry.close();
  const execArgv = ['--disable-warning=ExperimentalWarning']; // that of the loader which plugins' own modules come by
  const content = { main, output, assets: makeAssets(), execArgv, disableExperimentalSEAWarning: true };
  writeFileSync(settings, JSON.stringify(content));
  run(process.execPath, '--experimental-sea-config', settings);
  return output;
}

/** Node's binary without its 18 MB of symbols, where binutils is installed. */
function copyNode(): void {
  copyFileSync(process.execPath, EXECUTABLE);
  chmodSync(EXECUTABLE, 0o755);
  try {
    run('strip', EXECUTABLE);
  } catch {
    console.error('There is no strip on this machine: the executable keeps its symbols, which nobody needs.');
  }
}

async function make(): Promise<void> {
  rmSync(EXECUTABLE, { force: true }); // one that runs cannot be written
  mkdirSync(BUILD, { recursive: true });
  copyNode();
  const postject = createRequire(import.meta.url).resolve('postject/dist/cli.js');
  run(process.execPath, postject, EXECUTABLE, RESOURCE, await makeBlob(), '--sentinel-fuse', FUSE);
  rmSync(BUILD, { recursive: true });
}

process.chdir(PROJECT);
if (process.platform === 'linux') {
  await make();
  const size = Math.round(statSync(EXECUTABLE).size / 1e6);
  console.log(`${EXECUTABLE}: sluice ${run(EXECUTABLE, '--version').trim()}, ${size} MB, needs no Node`);
} else {
  console.error(`The single executable is made on Linux only, and this is ${process.platform}.`);
  process.exitCode = 1;
}
