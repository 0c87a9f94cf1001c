/** Standard input and output of a program as one stream: its exit with 0 is an end, anything else a cut. */
import type { ChildProcessByStdio } from 'node:child_process';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { ProcessGroup } from './process-group.ts';

export type Program = ChildProcessByStdio<Writable, Readable, Readable>;

/** ms that an end of output waits for the exit that tells what it means; a program may go on with the other direction. */
const EXIT_PATIENCE = 500;

export class ProgramStream extends Duplex {
  readonly #program: Program;
  readonly #group: ProcessGroup;
  readonly #exit: Promise<string | undefined>;

  constructor(program: Program) {
    super({ autoDestroy: false });
    this.#program = program;
    this.#group = new ProcessGroup(program);
    this.#exit = new Promise((resolve) => {
      program.once('exit', (code, signal) =>
        resolve(code === 0 ? undefined : `it ended with ${signal ?? `status ${code}`}`),
      );
    });
    for (const one of [program.stdin, program.stdout, program.stderr]) one.on('error', () => {});
    program.stdout.on('data', (chunk) => {
      if (!this.push(chunk)) program.stdout.pause();
    });
    program.stdout.once('close', () => void this.#endOfOutput());
  }

  async #endOfOutput(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), EXIT_PATIENCE);
    });
    const fault = await Promise.race([this.#exit, patience]);
    clearTimeout(timer);
    if (fault !== undefined) return void this.destroy(new Error(fault));
    this.push(null);
    const later = await this.#exit;
    if (later !== undefined) return void this.destroy(new Error(later));
    if (this.readableEnded) this.destroy();
    else this.once('end', () => this.destroy());
  }

  override _read(): void {
    this.#program.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#program.stdin.write(chunk, () => done()); // a program may read no more and still have much to say: its exit tells what it was
  }

  override _final(done: () => void): void {
    this.#program.stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { stdin, stdout, stderr, exitCode, signalCode } = this.#program;
    stdout.destroy();
    const finish = (): void => {
      stdin.destroy(); // not before: it would look like an end
      stderr.resume();
      done(error);
    };
    if (exitCode !== null || signalCode !== null) return finish();
    this.#group.stop();
    void this.#exit.then(finish);
  }
}
