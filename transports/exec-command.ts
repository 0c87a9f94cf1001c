/**
 * A command as a child process, and its standard input and output as one stream.
 *
 * - It runs in a process group of its own, so that an abort reaches its children too.
 * - Its output is read to the end also after it has exited; if a grandchild holds it open, 2 s of quiet are enough.
 * - An exit, with any status, ends the stream; a signal breaks it. Standard output often ends a moment before the exit
 *   is known, so the end waits for it, at most a second: a command may close its output and work on.
 * - An abort sends TERM to the group, then KILL after 5 s, and never looks like an end of input; `onAbort` changes it.
 */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { Duplex, type Readable, type Writable } from 'node:stream';
import type { ExitStatus, Outbound, ReleasingStream } from '../plugins/contract/index.ts';

export type OnAbort = 'term' | 'kill' | 'eof';

const KILL_AFTER = 5_000;
/** ms that a command which gets an end of input as its abort has to finish by itself. */
const EOF_PATIENCE = 30_000;
const END_WAITS_FOR_EXIT = 1_000;
const QUIET_AFTER_EXIT = 2_000;

export interface Program {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

/** The commands that run now: they are killed when we end; one listener for all, however many they are. */
const running = new Set<Command>();

function killAll(): void {
  for (const command of running) command.signal('SIGKILL');
}

/** A running command. It owns the process until that has ended. */
export class Command {
  readonly child: ChildProcess;
  /** Resolves when the process has ended. */
  readonly exit: Promise<ExitStatus>;
  #running = true;
  #stopping = false;

  private constructor(child: ChildProcess) {
    this.child = child;
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.on('error', () => {});
    this.exit = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#running = false;
        running.delete(this);
        resolve(signal === null ? { code: code ?? 0 } : { signal });
      });
    });
  }

  /** @throws Error if it cannot be started; then nothing is left of it. */
  static async start({ file, args, cwd, env }: Program, stdio: SpawnOptions['stdio']): Promise<Command> {
    const child = spawn(file, args, { cwd, env, stdio: stdio ?? 'pipe', detached: true });
    const command = new Command(child);
    await once(child, 'spawn'); // rejects with the reason if it cannot be
    if (!process.listeners('exit').includes(killAll)) process.once('exit', killAll);
    running.add(command);
    child.on('error', () => {}); // later errors are of signals to a process that is gone
    return command;
  }

  /** To the whole group. */
  signal(signal: NodeJS.Signals): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal); // also when its leader is gone: others of the group may not be
    } catch {
      if (this.#running) this.child.kill(signal); // the group is gone, or not there yet
    }
  }

  /** Ends it the hard way; returns at once. A second call changes nothing. */
  abort(how: OnAbort): void {
    if (this.#stopping || !this.#running) return;
    this.#stopping = true;
    if (how === 'kill') return this.signal('SIGKILL');
    if (how === 'eof') this.child.stdin?.end();
    const term = (): void => {
      this.signal('SIGTERM');
      this.#after(KILL_AFTER, () => this.signal('SIGKILL'));
    };
    if (how === 'eof' && this.child.stdin !== null) this.#after(EOF_PATIENCE, term);
    else term();
  }

  /** Until the whole group is gone: a number that is a group's is not given away, so that it cannot be another's. */
  #after(milliseconds: number, act: () => void): void {
    const timer = setTimeout(act, milliseconds);
    void this.exit.then(() => {
      if (!this.#hasGroup()) clearTimeout(timer);
    });
  }

  #hasGroup(): boolean {
    try {
      return process.kill(-(this.child.pid ?? 0), 0);
    } catch {
      return false;
    }
  }
}

/** Standard input and output of a command as one stream. */
export class CommandStream extends Duplex implements ReleasingStream {
  /** A write calls back when the command's pipe has taken the chunk, or is gone. */
  readonly releasesChunks = true;
  readonly #command: Command;
  readonly #onAbort: OnAbort;
  readonly #stdin: Writable;
  readonly #stdout: Readable;
  #pending: (() => void) | undefined;

  constructor(command: Command, onAbort: OnAbort) {
    super({ autoDestroy: false }); // both directions may have ended and the command still work: it ends when that exits
    this.#command = command;
    this.#onAbort = onAbort;
    this.#stdin = command.child.stdin as Writable;
    this.#stdout = command.child.stdout as Readable;
    this.#stdin.once('close', () => this.#pending?.());
    this.#stdout.on('data', (chunk) => {
      if (!this.push(chunk)) this.#stdout.pause();
    });
    void this.#followOutput();
  }

  async #followOutput(): Promise<void> {
    const output = new Promise<void>((resolve) => this.#stdout.once('close', resolve));
    const waiting = new AbortController();
    await Promise.race([output, this.#command.exit.then(() => this.#quiet(output))]);
    const status = await Promise.race([this.#command.exit, after(END_WAITS_FOR_EXIT, waiting.signal)]);
    waiting.abort();
    if (status !== undefined && 'signal' in status) {
      this.destroy(new Error(`the command was killed by ${status.signal}`));
      return;
    }
    this.push(null);
    await Promise.all([this.#ended(), this.#command.exit]);
    this.destroy();
  }

  /** The end has been read, or nobody will. */
  #ended(): Promise<void> {
    if (this.readableEnded || this.destroyed) return Promise.resolve();
    return new Promise((resolve) => this.once('end', resolve).once('close', resolve));
  }

  /** After the exit: until the output ends, or nothing has come for a while (and nobody keeps it from coming). */
  async #quiet(output: Promise<void>): Promise<void> {
    let last = performance.now();
    const onData = (): void => {
      last = performance.now();
    };
    this.#stdout.on('data', onData);
    for (;;) {
      const waiting = new AbortController();
      const ended = await Promise.race([output.then(() => true), after(QUIET_AFTER_EXIT, waiting.signal)]);
      waiting.abort();
      if (ended || (!this.#stdout.isPaused() && performance.now() - last >= QUIET_AFTER_EXIT)) break;
    }
    this.#stdout.destroy();
  }

  override _read(): void {
    this.#stdout.resume();
  }

  /** A command need not read its input to the end: what it does not take is dropped, and its own end tells the rest. */
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#untilTaken(done, (taken) => this.#stdin.write(chunk, taken));
  }

  override _final(done: () => void): void {
    this.#untilTaken(done, (taken) => this.#stdin.end(taken));
  }

  /** A standard input that is destroyed drops its callbacks; then its `close` stands for them. */
  #untilTaken(done: () => void, act: (taken: () => void) => void): void {
    const taken = (): void => {
      if (this.#pending !== taken) return;
      this.#pending = undefined;
      done();
    };
    this.#pending = taken;
    if (this.#stdin.writable) act(taken);
    else taken();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#command.abort(this.#onAbort);
    this.#stdout.destroy();
    void this.#command.exit.then(() => {
      this.#stdin.destroy(); // not before: a command that cleans up after TERM would read it as the end of its input
      done(error);
    });
  }
}

/** Starts a command on pipes, as an outbound connection. */
export async function dialCommand(
  program: Program,
  { name, onAbort }: { readonly name: string; readonly onAbort: OnAbort },
  signal: AbortSignal,
): Promise<Outbound> {
  const command = await Command.start(program, ['pipe', 'pipe', 'pipe']);
  const stream = new CommandStream(command, onAbort);
  const { stderr, pid } = command.child;
  if (signal.aborted) {
    stream.on('error', () => {}).destroy();
    throw signal.reason;
  }
  return { stream, peer: { address: `${name}[${pid}]` }, ...(stderr && { diagnostics: stderr }), exit: command.exit };
}

/** Resolves with nothing after a while, or at once when the signal comes. */
async function after(milliseconds: number, signal: AbortSignal): Promise<undefined> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  return undefined;
}
