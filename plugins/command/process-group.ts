/** The process group of a program: it may have started others, and a signal is for all of them. */
import type { ChildProcess } from 'node:child_process';

/** ms from TERM to KILL. */
const KILL_AFTER = 3_000;

/** Those that run now: they are killed when we end, or their input would end, and look complete. One listener for all. */
const running = new Set<ProcessGroup>();

function killAll(): void {
  for (const group of running) group.signal('SIGKILL');
}

export class ProcessGroup {
  /** As `kill` wants it: negative. */
  readonly #number: number;
  #kill: NodeJS.Timeout | undefined;

  /** @param leader has started as one (`detached`) */
  constructor(leader: ChildProcess) {
    this.#number = -(leader.pid as number);
    if (!process.listeners('exit').includes(killAll)) process.once('exit', killAll);
    running.add(this);
    leader.once('exit', () => {
      if (this.#kill === undefined || !this.#isThere()) this.#forget();
    });
  }

  /** TERM, and KILL for whoever is left after a while, also when the leader is gone: others may ignore TERM. */
  stop(): void {
    this.signal('SIGTERM');
    this.#kill = setTimeout(() => {
      this.signal('SIGKILL');
      this.#forget();
    }, KILL_AFTER);
  }

  signal(signal: NodeJS.Signals): void {
    try {
      process.kill(this.#number, signal);
    } catch {
      // the group is gone
    }
  }

  /** Its number is given to nobody else for as long as there is a member. */
  #isThere(): boolean {
    try {
      return process.kill(this.#number, 0);
    } catch {
      return false;
    }
  }

  #forget(): void {
    clearTimeout(this.#kill);
    running.delete(this);
  }
}
