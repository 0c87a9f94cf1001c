/** Carriers, as a session uses them: Duplex streams that are heard, lost, or let go when the last word is said. */
import type { Duplex } from 'node:stream';

export interface CarrierListener {
  read(chunk: Buffer): void;
  /** Called for every sign of it: an error, an end, a close. */
  lost(reason: Error): void;
}

/** Listens from now on; `resume` starts it, because the handshake has paused it. */
export function listen(carrier: Duplex, { read, lost }: CarrierListener): void {
  const lose = (why: string) => (error?: Error) => lost(error ?? new Error(why));
  carrier.on('error', lose('broken'));
  carrier.once('end', lose('the carrier ended'));
  carrier.once('close', lose('the carrier was closed'));
  carrier.on('data', read);
  if (carrier.destroyed || carrier.readableEnded) setImmediate(lose('the carrier was lost after the handshake'));
}

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
