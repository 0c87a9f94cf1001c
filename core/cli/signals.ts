/**
 * Signals of a gateway: the first TERM or INT stops listening and lets running connections finish; a second one ends
 * at once. For `connect` and other uses of stdio the rules are those of an ssh: see `ProxySignals`.
 */
import { constants } from 'node:os';
import { isatty } from 'node:tty';
import type { Gateway } from '../gateway.ts';
import type { CoreLog } from '../log.ts';

export const statusOfSignal = (signal: NodeJS.Signals): number => 128 + (constants.signals[signal] ?? 0);

const STOPPING = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** What signals made of the process's exit status; `undefined` where none came. */
export interface Signalled {
  status(): Promise<number | undefined>;
}

/** Drains at the first signal, but for a HUP where that is a reload: 0 if all connections finished, 255 if some had to be cut. */
export function watchAsGateway(gateway: Gateway, log: CoreLog, reload?: () => void): Signalled {
  let closing: Promise<number> | undefined;
  for (const name of STOPPING) {
    process.on(name, () => {
      if (name === 'SIGHUP' && reload !== undefined) return closing === undefined ? reload() : undefined;
      if (closing !== undefined) process.exit(statusOfSignal(name));
      log.info('stopping', { signal: name });
      closing = gateway.close();
    });
  }
  return { status: async () => (closing === undefined ? undefined : (await closing) > 0 ? 255 : 0) };
}

export interface ProxySignals {
  /** Cut the connection and exit with this status. */
  abort(status: number, why: string): void;
  /** Bytes go on, but an end of input that comes now is a cut. */
  interrupt(): void;
  /** An end of input has been passed on already, so that an interrupt can only cut. */
  isInputOver(): boolean;
}

/**
 * borg starts its remote shell with SIGINT ignored, so that Ctrl-C lets it write a checkpoint; Node forgets that. So:
 * on a terminal SIGINT cuts; elsewhere bytes go on both ways, and an end of input after it is a cut, because a
 * pipeline that was interrupted must not look complete at its far end. A SIGINT after the end of input, a second one, TERM, HUP and
 * USR1 (by which rsync ends its remote shell) cut at once.
 */
export function onProxySignals({ abort, interrupt, isInputOver }: ProxySignals): void {
  let interrupts = 0;
  process.on('SIGINT', () => {
    interrupts += 1;
    const onTerminal = isatty(0); // not process.stdin: its getter opens what `stdio:` reads already, and throws
    if (onTerminal || interrupts > 1 || isInputOver()) abort(statusOfSignal('SIGINT'), 'interrupted');
    else interrupt();
  });
  for (const name of ['SIGTERM', 'SIGHUP', 'SIGUSR1'] as const) {
    process.on(name, () => abort(statusOfSignal(name), `stopped by ${name}`));
  }
}
