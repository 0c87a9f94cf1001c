/** The built command as a user runs it: `dist/sluice.js` on the Node that runs the test. `npm test` builds it first. */
import { spawn, type ChildProcessWithoutNullStreams, type SpawnOptionsWithoutStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Scope } from './scope.ts';

export const COMMAND = join(import.meta.dirname, '../../dist/sluice.js');

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  /** Resolves with the first line of standard error (earlier ones count) that matches. */
  untilStderr(pattern: RegExp, milliseconds?: number): Promise<RegExpMatchArray>;
}

/** Starts `sluice ARGS`; the scope kills it if it still runs when the test is over. */
export function startSluice(scope: Scope, args: readonly string[], options: SpawnOptionsWithoutStdio = {}): Running {
  const child = spawn(process.execPath, [COMMAND, ...args], options);
  scope.defer(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  child.stdin.on('error', () => {});
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const ended = Promise.all([closed, text(child.stdout)]).then(([[code, signal], stdout]) => ({
    code,
    signal,
    stdout,
    stderr,
  }));
  const untilStderr = async (pattern: RegExp, milliseconds = 10_000): Promise<RegExpMatchArray> => {
    const signal = AbortSignal.timeout(milliseconds);
    for (;;) {
      const match = stderr.match(pattern);
      if (match !== null) return match;
      await Promise.race([once(child.stderr, 'data', { signal }), closed]).catch(() => {
        throw new Error(`${String(pattern)} did not come within ${milliseconds} ms; there was:\n${stderr}`);
      });
      if (child.exitCode !== null && !pattern.test(stderr))
        throw new Error(`it ended before ${String(pattern)}:\n${stderr}`);
    }
  };
  return { child, ended, untilStderr };
}

/** Runs `sluice ARGS` to its end with the given standard input. */
export async function sluice(
  scope: Scope,
  args: readonly string[],
  input = '',
  options: SpawnOptionsWithoutStdio = {},
): Promise<Ended> {
  const { child, ended } = startSluice(scope, args, options);
  child.stdin.end(input);
  return ended;
}
