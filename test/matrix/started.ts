/** The gateway of a pair: in the test's own process, or the built command where its own stdio or descriptors matter. */
import { spawn, type ChildProcess, type IOType } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { COMMAND } from '../support/command.ts';
import { RecordedLog, startGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';

/** How the gateway has to be started for a source to be there. */
export interface Launch {
  readonly address: string;
  /** A program that starts the command, with its arguments. */
  readonly wrapper?: readonly string[];
  /** What the command gets as descriptor 3. */
  readonly inherit?: Socket | number;
}

export interface Target {
  readonly address: string;
  readonly handoff?: 'never';
}

export interface Started {
  readonly log: RecordedLog;
  readonly child?: ChildProcess;
  /** The address that the source is bound to. */
  bound(): Promise<string>;
}

export async function startInProcess(scope: Scope, { address }: Launch, sink: Target): Promise<Started> {
  const { open, log } = startGateway(scope);
  const { listener } = await open(address, sink.address, {
    sinkOptions: sink.handoff ? { handoff: sink.handoff } : {},
  });
  return { log, bound: async () => listener.address };
}

/** @param isForOne the command serves one connection, and its exit status tells how that ended */
export function startCommand(scope: Scope, launch: Launch, sink: Target, isForOne: boolean): Started {
  const { address, wrapper = [], inherit } = launch;
  const flags = [
    '--log-format',
    'json',
    ...(isForOne ? ['--once'] : []),
    ...(sink.handoff ? ['--handoff', sink.handoff] : []),
  ];
  const words = [...wrapper, process.execPath, COMMAND, 'link', ...flags, address, sink.address];
  const stdio: (IOType | Socket | number)[] = ['pipe', 'pipe', 'pipe'];
  if (inherit !== undefined) stdio.push(inherit);
  const child = spawn(words[0] as string, words.slice(1), { stdio });
  scope.defer(() => stop(child));
  const log = readLog(child);
  const bound = async (): Promise<string> => String((await log.untilMessage('listening', 1, 60_000)).fields['source']);
  return { log, child, bound };
}

function readLog(child: ChildProcess): RecordedLog {
  const log = new RecordedLog();
  log.setMaxListeners(0);
  if (child.stderr === null) throw new Error('standard error is not a pipe');
  createInterface(child.stderr).on('line', (line) => {
    const { message, properties } = line.startsWith('{') ? JSON.parse(line) : { message: line, properties: {} };
    log.asLog().info(message, properties);
  });
  return log;
}

/** Ends a command and, below a wrapper, its children. */
async function stop(child: ChildProcess): Promise<void> {
  for (const stream of child.stdio) stream?.destroy();
  if (child.exitCode !== null || child.signalCode !== null) return;
  for (const pid of childrenOf(child)) kill(pid, 'SIGKILL');
  child.kill('SIGKILL');
  await once(child, 'exit');
}

export const childrenOf = ({ pid }: ChildProcess): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {} // it has ended by itself
}
