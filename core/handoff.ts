/**
 * Hand-off: where the source holds an untouched socket and the sink starts a command, that socket becomes the
 * command's standard input and output, and no byte passes through us. inetd did it so; it is as fast as no gateway.
 *
 * We keep our own copy of the socket until the command has ended, and end it then: a grandchild that still holds the
 * socket would otherwise keep the client waiting. Until then that copy is never read (it has become blocking).
 */
import type { Duplex } from 'node:stream';
import type { Address } from './address.ts';
import { SluiceError, wrap } from './errors.ts';
import { LIMITS } from './limits.ts';
import { abortConnection, closed, type Outcome } from './relay.ts';
import type { Adopted, DialContext, ExitStatus, Inbound } from '../plugins/contract/index.ts';

/** Starts the command on the inbound's own socket; `undefined` where this pair cannot, or does not want to. */
export async function handOff(inbound: Inbound, sink: Address, context: DialContext): Promise<Adopted | undefined> {
  if (inbound.handle === undefined || inbound.protocol !== undefined || sink.transport.adopt === undefined)
    return undefined;
  try {
    return await sink.transport.adopt(sink.parsed, inbound.handle, context);
  } catch (error) {
    throw wrap('SLUICE_DIAL', `dial ${sink.text}`, error);
  }
}

/** Waits for the command, then frees our copy of the socket: as an end, or as a cut if a signal killed it. */
export async function superviseHandOff(inbound: Inbound, adopted: Adopted, stopped: AbortSignal): Promise<Outcome> {
  let reason: SluiceError | undefined;
  const onStop = (): void => {
    reason = stopped.reason as SluiceError;
    adopted.abort(reason);
  };
  stopped.addEventListener('abort', onStop, { once: true });
  if (stopped.aborted) onStop();
  const status = await adopted.exit;
  stopped.removeEventListener('abort', onStop);
  const cut = reason ?? killed(status);
  if (cut === undefined) await endCopy(inbound.stream);
  else abortConnection(inbound, cut);
  if (cut === undefined) return { how: 'ended', status };
  return { how: 'cut', by: reason === undefined ? 'sink' : 'us', reason: cut, status };
}

/**
 * What the client still sends is thrown away for a moment: closing a socket with unread bytes resets it, and destroys
 * what of the reply is still on its way. That means reading, which must not block.
 */
async function endCopy(stream: Duplex): Promise<void> {
  const { _handle: handle } = stream as { _handle?: { setBlocking?(blocking: boolean): number } | null };
  stream.end();
  if (handle?.setBlocking?.(false) === 0) {
    stream.resume();
    await closed(stream, LIMITS.discardAfterEnd);
  }
  stream.destroy();
}

const killed = (status: ExitStatus): SluiceError | undefined =>
  'signal' in status ? new SluiceError('SLUICE_CUT', `the command was killed by ${status.signal}`) : undefined;
