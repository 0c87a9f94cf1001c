/** How a source ends: asked to, having served its only connection, or by itself, which is a failure. */
import type { DoorHost } from './door.ts';
import { SluiceError, reasonOf } from './errors.ts';
import type { Listener } from '../plugins/contract/index.ts';

/**
 * Resolves when the source has closed; with the reason where nobody has asked it to, which is told. Who has come in stays.
 *
 * @param stopped what it listened under
 */
export async function untilClosed(
  { source, log }: DoorHost,
  listener: Listener,
  stopped: AbortSignal,
): Promise<SluiceError | undefined> {
  let reason = 'it has closed by itself';
  try {
    await listener.closed;
    if (stopped.aborted || source.transport.servesOnce || listener.servesOnce) return undefined;
  } catch (error) {
    reason = reasonOf(error);
    if (stopped.aborted) {
      log.error('the source did not close cleanly', { reason });
      return undefined;
    }
  }
  const failure = new SluiceError('SLUICE_LISTEN', `listen on ${source.text}: the source has ended: ${reason}`);
  log.error('the source has ended', { source: listener.address, code: failure.code, reason });
  return failure;
}
