/**
 * What a bench needs around it: a folder, programs that run in the background, free ports. The stage owns them all,
 * and frees them in reverse order on every way out: an end, a failure, Ctrl-C.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

/** ms from TERM to KILL, and until a started program must answer. */
const PATIENCE = 2_000;
const START = 10_000;
/** ms that one measurement may take: far more than any needs. */
const RUN = 60_000;

export class Stage implements AsyncDisposable {
  readonly folder: string;
  readonly #stop: AbortSignal;
  readonly #cleanups: (() => unknown)[] = [];
  #started = 0;

  /** @param stop ends what is being waited for; the owner then leaves its block, which frees the rest */
  constructor(stop: AbortSignal) {
    stop.throwIfAborted();
    this.#stop = stop;
    this.folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
    this.defer(() => rmSync(this.folder, { recursive: true, force: true }));
  }

  /** The bench was interrupted: a failure now is nobody's fault. */
  get isStopped(): boolean {
    return this.#stop.aborted;
  }

  defer(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#cleanups.length > 0) await this.#cleanups.pop()?.();
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Starts a program that runs until the stage is freed. Its words go to a log file; `until` waits for some. */
  start(file: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Background {
    this.#stop.throwIfAborted();
    this.#started += 1;
    const log = this.path(`${this.#started}.log`);
    const output = openSync(log, 'w');
    const child = spawn(file, args, { stdio: ['ignore', output, output], env: { ...process.env, ...environment } });
    closeSync(output);
    child.on('error', () => {}); // told by `until` and `reachable`, which find it gone
    this.defer(() => end(child));
    return new Background(`${file} ${args.join(' ')}`, child, log, this.#stop);
  }

  /** Runs a program to its end; resolves with its standard output. @throws Error with what it said, if it failed. */
  async run(file: string, args: readonly string[], input = '', environment: NodeJS.ProcessEnv = {}): Promise<string> {
    const signal = AbortSignal.any([this.#stop, AbortSignal.timeout(RUN)]);
    const env = { ...process.env, ...environment };
    const child = spawn(file, args, { signal, killSignal: 'SIGKILL', env });
    child.stdin.on('error', () => {}); // it need not read
    child.stdin.end(input);
    const ended = once(child, 'close') as Promise<[number | null]>;
    const [output, complaint, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    if (code !== 0) throw new Error(`${file} ${args[0] ?? ''}: ${complaint.trim() || `ended with ${code}`}`);
    return output;
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill();
  const killing = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
  await exit;
  clearTimeout(killing);
}

/** A program that the stage runs. */
export class Background {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #stop: AbortSignal;

  constructor(name: string, child: ChildProcess, log: string, stop: AbortSignal) {
    this.#name = name;
    this.#child = child;
    this.#log = log;
    this.#stop = stop;
  }

  /** Resolves with what the program has said, once it matches. */
  until(pattern: RegExp): Promise<RegExpMatchArray> {
    return this.#poll(() => readFileSync(this.#log, 'utf8').match(pattern) ?? undefined, `did not say ${pattern}`);
  }

  /** Resolves once a connection to the address (a path, or a port on 127.0.0.1) succeeds. */
  async reachable(address: string): Promise<void> {
    await this.#poll(async () => (await accepts(address)) || undefined, `does not listen on ${address}`);
  }

  async #poll<T>(look: () => T | Promise<T>, complaint: string): Promise<NonNullable<T>> {
    const deadline = performance.now() + START;
    for (;;) {
      this.#stop.throwIfAborted();
      const found = await look();
      if (found !== undefined && found !== null) return found;
      const gone = this.#child.exitCode ?? this.#child.signalCode;
      if (gone !== null || performance.now() > deadline)
        throw new Error(`${this.#name} ${complaint}:\n${readFileSync(this.#log, 'utf8')}`);
      await sleep(20);
    }
  }
}

async function accepts(address: string): Promise<boolean> {
  const socket = connect(address.startsWith('/') ? { path: address } : { port: Number(address), host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A port that is free now: for programs that cannot choose one and tell it. */
export async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return String(port);
}
