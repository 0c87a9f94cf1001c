/**
 * The life of one connection: hand-off, or dial and relay; one log line when it opens, one when it has closed.
 * Owns the inbound from the call on, and everything made for it.
 */
import { carryDiagnostics } from './diagnostics.ts';
import { SluiceError, wrap } from './errors.ts';
import { handOff, superviseHandOff } from './handoff.ts';
import type { Link } from './link.ts';
import type { CoreLog } from './log.ts';
import { protocolsOf, reach } from './sessions.ts';
import { Relay, abortConnection, type Outcome } from './relay.ts';
import type { ExitStatus, Folders, Inbound, Outbound } from '../plugins/contract/index.ts';

export interface Traffic {
  readonly toSink: number;
  readonly toSource: number;
}

/** A connection being served. */
export interface Served {
  /** Never rejects. */
  readonly outcome: Promise<Outcome>;
  readonly since: number;
  /** Bytes so far; `undefined` before the sink is there and where the socket was handed off. */
  traffic(): Traffic | undefined;
  abort(reason: SluiceError): void;
}

interface ServeContext {
  readonly log: CoreLog;
  readonly folders: Folders;
}

export function serve(link: Link, inbound: Inbound, { log, folders }: ServeContext): Served {
  const stop = new AbortController();
  const since = performance.now();
  let relay: Relay | undefined;

  const run = async (): Promise<Outcome> => {
    const context = { log, folders, link: link.name, peer: inbound.peer, protocols: protocolsOf(link.sink) };
    const adopted = await handOff(inbound, link.sink, { ...context, signal: stop.signal });
    if (adopted !== undefined) {
      log.info('opened', { sink: link.sink.text, how: 'handed off' });
      carryDiagnostics(adopted.diagnostics, inbound.diagnostics, log);
      return superviseHandOff(inbound, adopted, stop.signal);
    }
    const outbound = await dialWhileOpen(link, inbound, context, stop.signal);
    tellEstablished(inbound, outbound);
    log.info('opened', { sink: outbound.peer.address });
    carryDiagnostics(outbound.diagnostics, inbound.diagnostics, log);
    relay = new Relay(inbound, outbound, { idleAfterEnd: link.idleAfterEnd });
    const onStop = (): void => relay?.abort(stop.signal.reason as SluiceError);
    if (stop.signal.aborted) onStop();
    stop.signal.addEventListener('abort', onStop, { once: true });
    return relay.run();
  };

  const traffic = (): Traffic | undefined => relay && { toSink: relay.toSink.bytes, toSource: relay.toSource.bytes };

  const refuse = (error: unknown): Outcome => {
    const reason = wrap('SLUICE_DIAL', `dial ${link.sink.text}`, error);
    abortConnection(inbound, reason);
    return { how: 'cut', by: 'sink', reason };
  };
  const finish = (outcome: Outcome): Outcome => {
    logClose(log, outcome, traffic(), performance.now() - since);
    return outcome;
  };
  return {
    outcome: run().catch(refuse).then(finish),
    since,
    traffic,
    abort: (reason) => stop.abort(reason),
  };
}

/** What a source throws must not leave the sink behind. */
function tellEstablished(inbound: Inbound, outbound: Outbound): void {
  try {
    inbound.established?.({ exit: outbound.exit !== undefined });
  } catch (error) {
    abortConnection(outbound, error as Error);
    throw error;
  }
}

/** A source that goes away while its sink is being dialed ends the attempt. */
async function dialWhileOpen(
  link: Link,
  inbound: Inbound,
  context: Parameters<typeof reach>[1],
  stopped: AbortSignal,
): ReturnType<typeof reach> {
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  inbound.stream.once('close', onClose);
  try {
    return await reach(link.sink, context, AbortSignal.any([gone.signal, stopped]));
  } finally {
    inbound.stream.off('close', onClose);
  }
}

const showStatus = (status: ExitStatus | undefined): Record<string, unknown> => {
  if (status === undefined) return {};
  return 'code' in status ? { exit: status.code } : { signal: status.signal };
};

function logClose(log: CoreLog, outcome: Outcome, traffic: Traffic | undefined, milliseconds: number): void {
  const fields = {
    how: outcome.how,
    ...(outcome.by && { by: outcome.by }),
    ...showStatus(outcome.status),
    ...(traffic ? { in: traffic.toSink, out: traffic.toSource } : {}),
    seconds: Number((milliseconds / 1000).toFixed(3)),
    ...(outcome.reason && { code: outcome.reason.code, reason: outcome.reason.message }),
  };
  const isWanted = outcome.how === 'ended' || outcome.reason?.code === 'SLUICE_STOPPED';
  if (isWanted) log.info('closed', fields);
  else log.warn('closed', fields);
}
