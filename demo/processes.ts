/** Shell lines as processes in groups of their own: what is printed is what runs, and all of it can be stopped. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

export type Environment = Readonly<Record<string, string | undefined>>;

/** A shell line that runs, and everything that it starts in its process group. */
export class Line {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #closed: Promise<unknown>;

  constructor(line: string, cwd: string, env: Environment) {
    this.child = spawn('/bin/sh', ['-c', line], { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#closed = once(this.child, 'close');
    this.#closed.catch(() => {}); // `output` and `stop` tell
  }

  /** What it wrote on standard output. @throws Error with its standard error, if it failed. */
  async output(): Promise<string> {
    const { stdout, stderr } = this.child;
    const [out, complaint] = await Promise.all([text(stdout), text(stderr), this.#closed]);
    if (this.child.exitCode === 0) return out.trimEnd();
    const how = this.child.signalCode ?? `exit status ${this.child.exitCode}`;
    throw new Error(`the last command failed (${how}):\n${complaint.trimEnd()}`);
  }

  /** TERM to the whole group, KILL for what is left after `grace` ms (a gateway gives its command 5 s). */
  async stop(grace = 8_000): Promise<void> {
    this.#signal('SIGTERM');
    const timer = setTimeout(() => this.#signal('SIGKILL'), grace);
    await this.#closed.catch(() => {});
    clearTimeout(timer);
    this.#signal('SIGKILL');
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      if (this.child.pid !== undefined) process.kill(-this.child.pid, signal);
    } catch {
      // the group is gone already
    }
  }
}
