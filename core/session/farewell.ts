/** The end of a carrier that still has something to say. */
import type { Duplex } from 'node:stream';

/** ms that the last words get. */
const PATIENCE = 1_000;

/** Lets what was written go out, then frees the carrier; after a second it is freed, whatever the peer has read. */
export function sayFarewell(carrier: Duplex): Promise<void> {
  carrier.on('error', () => {});
  if (carrier.closed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => carrier.destroy(), PATIENCE);
    carrier.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    carrier.end();
    carrier.resume();
  });
}
