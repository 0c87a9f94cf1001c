/**
 * The program of a source, kept running: whoever runs a link wants it to go on serving, and what clients were told (the
 * address, and the key of the state folder in it) is as good with the next program as with the last. Where it is not the same
 * any more, or the program dies again and again, it is given up, so that somebody looks.
 */
import { once } from 'node:events';
import type { Log } from 'sluice/plugin';
import type { Managed } from './managed.ts';

/** ms before each new start; whose last one has failed, too, is given up. Two and a half minutes in all. */
const WAITS = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000];
/** ms after which a program has run well: its death is the first again. */
const WELL = 60_000;

export class KeptProgram {
  #current: Managed;
  #starting: Promise<Managed> | undefined;
  readonly #start: () => Promise<Managed>;
  readonly #log: Log;

  /** @param first runs already; it is owned from now on */
  constructor(first: Managed, start: () => Promise<Managed>, log: Log) {
    this.#current = first;
    this.#start = start;
    this.#log = log;
  }

  /** Resolves when the signal has fired; the program runs on then. @throws Error if it is given up */
  async keep(signal: AbortSignal, waits: readonly number[] = WAITS): Promise<void> {
    const stopped = signal.aborted ? Promise.resolve() : once(signal, 'abort');
    let ended = this.#current.ended;
    for (let failures = 0; ; failures += 1) {
      const since = performance.now();
      const how = await Promise.race([ended, stopped]);
      if (signal.aborted) return;
      if (performance.now() - since >= WELL) failures = 0;
      const wait = waits[failures];
      if (wait === undefined) throw new Error(`given up after ${failures} new starts: ${String(how)}`);
      this.#log.warn('the program of the pluggable transport is started again', { reason: how, seconds: wait / 1000 });
      await pause(wait, stopped);
      if (signal.aborted) return;
      ended = this.#again();
    }
  }

  /** Resolves with how the next one has ended, or could not be started. @throws Error if it is not what clients know */
  async #again(): Promise<string> {
    const known = this.#current;
    try {
      this.#starting = this.#start();
      this.#current = await this.#starting;
    } catch (error) {
      return (error as Error).message;
    }
    const { address, args, ended } = this.#current;
    if (address !== known.address || args !== known.args)
      throw new Error(`it came back as ${show({ address, args })}, and its clients know ${show(known)}`);
    this.#log.info('the program of the pluggable transport runs again', { address });
    return ended;
  }

  /** Ends it, also if it has only just been started. */
  async stop(): Promise<void> {
    await this.#starting?.then((late) => late.stop()).catch(() => {});
    await this.#current.stop();
  }
}

const show = ({ address, args }: Pick<Managed, 'address' | 'args'>): string =>
  args === undefined ? address : `${address} (${args})`;

async function pause(milliseconds: number, stopped: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([stopped, new Promise((resolve) => (timer = setTimeout(resolve, milliseconds)))]);
  clearTimeout(timer);
}
