/** Programs that are not ours (borg, socat, nginx, …), and gateways as processes of their own. */
import { spawn, type ChildProcessWithoutNullStreams, type SpawnOptionsWithoutStdio } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { startSluice, type Running } from './command.ts';
import type { Scope } from './scope.ts';

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface Program {
  readonly child: ChildProcessWithoutNullStreams;
  /** Rejects if it cannot be started: a test whose program is missing fails. */
  readonly ended: Promise<Ran>;
  /** What it has said on standard error up to now. */
  said(): string;
}

/** Starts a program; the scope kills it, if it still runs, when the test is over. */
export function start(
  scope: Scope,
  file: string,
  args: readonly string[],
  options: SpawnOptionsWithoutStdio = {},
): Program {
  const child = spawn(file, args, options);
  child.stdin.on('error', () => {});
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const ended = Promise.all([closed, buffer(child.stdout)]).then(([[code, signal], stdout]) => {
    return { code, signal, stdout, stderr };
  });
  ended.catch(() => {}); // whoever awaits it is told
  scope.defer(async () => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await closed;
  });
  return { child, ended, said: () => stderr };
}

/** Runs a program to its end with the given standard input. */
export async function run(
  scope: Scope,
  file: string,
  args: readonly string[],
  { input = '', ...options }: SpawnOptionsWithoutStdio & { input?: string | Buffer } = {},
): Promise<Ran> {
  const { child, ended } = start(scope, file, args, options);
  child.stdin.end(input);
  return ended;
}

export interface RunningLink extends Running {
  /** The address as bound. */
  readonly address: string;
}

/** Starts `sluice link` as a process of its own, and waits until it listens. */
export async function startLink(scope: Scope, source: string, sink: string, ...flags: string[]): Promise<RunningLink> {
  const running = startSluice(scope, ['link', ...flags, source, sink]);
  running.child.stdout.resume();
  const [, address = ''] = await running.untilStderr(/listening {2}source=(\S+)/);
  return { ...running, address };
}

/** A port of 127.0.0.1 that was free a moment ago, for programs that cannot choose one themselves. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Resolves when somebody listens there: a port of 127.0.0.1, or a path. */
export async function untilListening(where: number | string, milliseconds = 10_000): Promise<void> {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    const probe = typeof where === 'number' ? connect(where, '127.0.0.1') : connect(where);
    try {
      await once(probe, 'connect');
      return;
    } catch (cause) {
      if (performance.now() > deadline) throw new Error(`nobody listens on ${where}`, { cause });
      await sleep(20);
    } finally {
      probe.destroy();
    }
  }
}
