/** Dials a sink under a deadline. The only place where a transport's `dial` is called. */
import { viaOf, type Address } from './address.ts';
import { SluiceError, wrap } from './errors.ts';
import { LIMITS } from './limits.ts';
import { abortConnection } from './relay.ts';
import type { DialContext, Outbound } from '../plugins/contract/index.ts';

/**
 * Resolves with a connection that the caller owns. `cancel` ends the attempt; once this has settled neither it nor
 * the deadline touches the connection (a signal given to `net.connect` would end a live socket).
 * A transport that ignores the signal and succeeds late has its connection freed.
 *
 * @throws SluiceError SLUICE_DIAL
 */
export async function dial(
  sink: Address,
  context: Omit<DialContext, 'signal'>,
  cancel: AbortSignal,
): Promise<Outbound> {
  const attempt = new AbortController();
  const refused = Promise.withResolvers<never>();
  const giveUp = (why: string): void => {
    const reason = new SluiceError('SLUICE_DIAL', `dial ${sink.text}: ${why}`);
    refused.reject(reason);
    attempt.abort(reason);
  };
  const onCancel = (): void => giveUp(SluiceError.is(cancel.reason) ? cancel.reason.message : 'the source went away');
  const patience = LIMITS.dialTimeout + (sink.transport.dialTimeout?.(sink.parsed) ?? 0);
  const via = viaOf(sink);
  const silence = `no answer within ${patience / 1000} s${via === undefined ? '' : ` by way of ${via}`}`;
  const deadline = setTimeout(() => giveUp(silence), patience);
  cancel.addEventListener('abort', onCancel);
  if (cancel.aborted) onCancel();
  const dialed = start(sink, { ...context, signal: attempt.signal });
  dialed.then((late) => refused.promise.catch((reason: Error) => abortConnection(late, reason))).catch(() => {});
  try {
    return await Promise.race([dialed, refused.promise]);
  } catch (error) {
    throw wrap('SLUICE_DIAL', `dial ${sink.text}`, error);
  } finally {
    clearTimeout(deadline);
    cancel.removeEventListener('abort', onCancel);
  }
}

/** A plugin may throw where it should reject, and throw anything. */
async function start(sink: Address, context: DialContext): Promise<Outbound> {
  if (sink.transport.dial === undefined) throw new Error('it cannot be a sink');
  return sink.transport.dial(sink.parsed, context);
}
