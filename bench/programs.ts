/** What is built for a bench: the generator and its sink, from C, and the command itself where it is not there yet. */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { locate } from './contender.ts';
import { Stage } from './stage.ts';

const here = import.meta.dirname;
const BUILD = join(here, 'build');
export const GENERATOR = join(BUILD, 'generator');
export const SINK = join(BUILD, 'sink');
const COMMAND = join(here, '../dist/sluice.js');

const changed = (file: string): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

async function compile(stage: Stage, compiler: string, name: string): Promise<void> {
  const [source, target] = [join(here, `${name}.c`), join(BUILD, name)];
  if (changed(target) > Math.max(changed(source), changed(join(here, 'wire.h')))) return;
  await stage.run(compiler, ['-O2', '-Wall', '-Wextra', '-std=gnu11', '-o', target, source]);
}

/** Resolves with the command that is measured. @throws Error where there is no C compiler. */
export async function build(stop: AbortSignal): Promise<string> {
  await using stage = new Stage(stop);
  const compiler = locate('cc') ?? locate('gcc') ?? locate('clang');
  if (compiler === undefined) throw new Error('the generator is a small C program, and there is no C compiler (cc)');
  mkdirSync(BUILD, { recursive: true });
  for (const name of ['generator', 'sink']) await compile(stage, compiler, name);
  if (changed(COMMAND) === 0) await stage.run('npm', ['run', 'build', '--prefix', join(here, '..')]);
  return COMMAND;
}
