/**
 * Pluggable transports of Tor, version 1 (pt-spec.txt): a program such as obfs4proxy is told by its environment what to do, and
 * says on its standard output where it listens. It ends when its standard input does.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

type Program = ChildProcessByStdio<Writable, Readable, null>;

/** ms until it has said where it listens; making keys takes some. */
const PATIENCE = 8_000;
/** ms from TERM to KILL. */
const KILL_AFTER = 3_000;

export interface Method {
  /** `127.0.0.1:port`, where it listens. */
  readonly address: string;
  /** Of a server: what its clients have to know, `cert=…,iat-mode=0`. */
  readonly args: string | undefined;
}

export interface Managed extends Method {
  /** Resolves with how the program has ended. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

/** `SMETHOD obfs4 127.0.0.1:1 ARGS:cert=…` or `CMETHOD obfs4 socks5 127.0.0.1:1`; undefined for other lines. @throws Error */
export function readLine(line: string, transport: string): Method | undefined {
  const [word, name, ...rest] = line.split(' ');
  if (word === 'ENV-ERROR' || word === 'VERSION-ERROR') throw new Error(line);
  if ((word === 'SMETHOD-ERROR' || word === 'CMETHOD-ERROR') && name === transport) throw new Error(rest.join(' '));
  if (name !== transport) return undefined;
  if (word === 'CMETHOD') {
    const [protocol, address = ''] = rest;
    if (protocol !== 'socks5') throw new Error(`it speaks ${protocol}, and socks5 is needed`);
    return { address, args: undefined };
  }
  const args = rest.find((one) => one.startsWith('ARGS:'))?.slice('ARGS:'.length);
  return word === 'SMETHOD' ? { address: rest[0] ?? '', args } : undefined;
}

const describeEnd = (status: number | null, signal: NodeJS.Signals | null): string =>
  signal === null ? `it ended with status ${status}` : `it was killed by ${signal}`;

/** Starts the program. @throws Error if it does not come up; then nothing is left of it */
export async function startManaged(
  program: string,
  transport: string,
  state: string,
  variables: Readonly<Record<string, string>>,
): Promise<Managed> {
  await mkdir(state, { recursive: true, mode: 0o700 });
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    TOR_PT_MANAGED_TRANSPORT_VER: '1',
    TOR_PT_STATE_LOCATION: state,
    TOR_PT_EXIT_ON_STDIN_CLOSE: '1',
    ...variables,
  };
  const child: Program = spawn(program, [], { env, stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.on('error', () => {});
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (...how) => resolve(describeEnd(...how))).once('error', ({ message }) => resolve(message));
  });
  const stop = async (): Promise<void> => {
    child.stdin.end();
    child.kill('SIGTERM');
    const kill = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER);
    await ended;
    clearTimeout(kill);
  };
  try {
    return { ...(await whereItListens(child, transport)), ended, stop };
  } catch (error) {
    child.kill('SIGKILL');
    throw new Error(`${program}: ${(error as Error).message}`, { cause: error });
  }
}

async function whereItListens(child: Program, transport: string): Promise<Method> {
  const found = Promise.withResolvers<Method>();
  const timer = setTimeout(() => found.reject(new Error('it has not said where it listens')), PATIENCE);
  child.once('error', found.reject);
  child.once('exit', (...how) => found.reject(new Error(describeEnd(...how))));
  createInterface(child.stdout).on('line', (line) => {
    try {
      const method = readLine(line, transport);
      if (method !== undefined) found.resolve(method);
    } catch (error) {
      found.reject(error);
    }
  });
  try {
    return await found.promise;
  } finally {
    clearTimeout(timer);
  }
}
