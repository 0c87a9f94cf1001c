/** The standard input and output of the built command as one end: whether it saw an end or a cut, its exit status tells. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { open as openFile } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { promisify } from 'node:util';
import type { Scope } from '../support/scope.ts';
import type { End } from './end.ts';
import { childrenOf, kill, type Started } from './started.ts';

const open = promisify(openFile);

interface Status {
  readonly code: number | null;
  readonly signal?: NodeJS.Signals | null;
}

/** Our own failure, or the signal that killed the far command, as a shell counts it. */
const isCut = (code: number | null): boolean => code !== null && code > 128;

function stdioEnd(readable: Readable, writable: Writable, status: Promise<Status>, cut: () => void): End {
  readable.on('error', () => {});
  writable.on('error', () => {});
  const seen = status.then(({ code, signal }) => {
    if (code !== 0 && !isCut(code)) throw new Error(`the command ended with ${code ?? signal}`);
    return code === 0 ? 'end' : 'cut';
  });
  seen.catch(() => {}); // told to whoever waits for it
  return { readable, writable, seen, cut };
}

/** A signal is the cut: a standard input that closes is an end. */
export function ownStdio({ child }: Started): End {
  if (child?.stdin == null || child.stdout === null) throw new Error('the gateway is no command with pipes');
  const status = once(child, 'exit').then(([code, signal]): Status => ({ code, signal }));
  return stdioEnd(child.stdout, child.stdin, status, () => child.kill('SIGTERM'));
}

/** Below a wrapper that keeps standard input and output open itself: the command gets two named pipes instead. */
export interface NamedPipes {
  /** Goes between the wrapper and the command. */
  readonly wrapper: readonly string[];
  end(started: Started): Promise<End>;
}

export function namedPipes(scope: Scope): NamedPipes {
  const path = `${scope.folder()}/pipe`;
  execFileSync('mkfifo', [`${path}.in`, `${path}.out`]);
  return {
    wrapper: ['/bin/sh', '-c', 'exec "$@" <"$0.in" >"$0.out"', path],
    async end(started) {
      const input = await open(`${path}.in`, 'w'); // each waits for the command to open its side
      const output = await open(`${path}.out`, 'r');
      const writable = new Socket({ fd: input, readable: false });
      const readable = new Socket({ fd: output, writable: false });
      return stdioEnd(readable, writable, reportedStatus(started), () => {
        for (const pid of started.child ? childrenOf(started.child) : []) kill(pid, 'SIGTERM');
      });
    },
  };
}

/** systemd-socket-activate says how its children ended. */
async function reportedStatus({ log }: Started): Promise<Status> {
  const { message } = await log.until((line) => / died with code \d+/.test(line.message), 60_000);
  return { code: Number(/\d+$/.exec(message)?.[0]) };
}
