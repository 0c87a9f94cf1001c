/** One dial, under a signal, whose carrier is either handed on or freed. */
import type { Connection } from '../../plugins/contract/index.ts';

/** Makes a carrier, verified as its address asks. */
export type Dial = (signal: AbortSignal) => Promise<Connection>;

export const toError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)));

/**
 * Dials under a signal that fires no more once there is a carrier: a socket would take it for its own end. A dial that
 * does not heed the signal is left behind, and its carrier is freed when it comes.
 */
export async function dialWithin(dial: Dial, signal: AbortSignal): Promise<Connection> {
  signal.throwIfAborted();
  const own = new AbortController();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => {
    own.abort(signal.reason);
    aborted.reject(toError(signal.reason));
  };
  signal.addEventListener('abort', onAbort, { once: true });
  const dialed = dial(own.signal);
  try {
    return await Promise.race([dialed, aborted.promise]);
  } catch (error) {
    dialed.then(({ stream }) => stream.on('error', () => {}).destroy()).catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
