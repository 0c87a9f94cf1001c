/**
 * The life of one connection: hand-off, or dial and relay; one log line when it opens, one when it has closed.
 * Owns the inbound from the call on, and everything made for it.
 */
import type { Turn } from './admission/commands.ts';
import { viaOf, type Address } from './address.ts';
import { carryDiagnostics } from './diagnostics.ts';
import { SluiceError, forStrangers, wrap } from './errors.ts';
import { handOff, superviseHandOff } from './handoff.ts';
import { LIMITS } from './limits.ts';
import type { Link } from './link.ts';
import type { CoreLog } from './log.ts';
import { protocolsOf, reach, tokenFor, type ReachContext } from './sessions.ts';
import { refusesGreeting } from './wrong-door.ts';
import { readSecretAt, readToken, type TokenReference } from './token.ts';
import { Relay, abortConnection, type Outcome } from './relay.ts';
import type { Variables } from './tunnels/within-reach.ts';
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

export interface ServeContext {
  readonly log: CoreLog;
  readonly folders: Folders;
  /** Where the token is that is shown to sinks whose address names none. */
  readonly token: TokenReference | undefined;
  readonly loudness: Loudness;
  /** What a command that a far side has started finds within its reach; nothing where that is nothing. */
  within(inbound: Inbound, sink: Address, link: Link): Promise<Variables | undefined>;
}

/** What one connection is served with. */
interface Serving extends ServeContext {
  /** A command may have to wait until others have ended. */
  readonly turn: Turn;
}

/** What is a warning of a gateway may be told otherwise, or not at all, by a command that stands in for ssh. */
export interface Loudness {
  /** A lost connection that may be resumed. */
  readonly outage: 'info' | 'warn';
  /** A connection that was cut. */
  readonly cut: 'info' | 'warn';
}

/** Where `{identity}` stands in a sink, it is who has connected. */
const sinkOf = (sink: Address, { identity }: Inbound): Address =>
  identity === undefined ? sink : (sink.forIdentity?.(identity.name) ?? sink);

/** @param general the one of the link's that answers the service that the inbound is for */
export function serve(link: Link, general: Address, inbound: Inbound, given: Serving): Served {
  const { log, turn } = given;
  const stop = new AbortController();
  const since = performance.now();
  let relay: Relay | undefined;

  const run = async (): Promise<Outcome> => {
    const command = inbound.request?.command;
    if (command !== undefined) log.debug('the client asks for', { command: command.toString() });
    const sink = sinkOf(general, inbound);
    await whileOpen(inbound, stop.signal, (signal) => turn.come(signal));
    const variables = await given.within(inbound, sink, link);
    const context = await reachContext(link, sink, inbound, given, variables);
    const adopted = await handOff(inbound, sink, { ...context, signal: stop.signal });
    if (adopted !== undefined) {
      log.info('opened', { sink: sink.text, how: 'handed off' });
      void carryDiagnostics(adopted.diagnostics, inbound.diagnostics, log);
      return superviseHandOff(inbound, adopted, stop.signal);
    }
    const outbound = await whileOpen(inbound, stop.signal, (signal) => reach(sink, context, signal));
    tellEstablished(inbound, outbound);
    const via = viaOf(sink);
    log.info('opened', { sink: outbound.peer.address, ...(via !== undefined && { via }) });
    const diagnosed = carryDiagnostics(outbound.diagnostics, inbound.diagnostics, log);
    relay = new Relay(inbound, outbound, {
      idleAfterEnd: link.idleAfterEnd ?? usualIdle(inbound),
      diagnosed,
      ...(link.once && sink.session === 'never' && { refuses: refusesGreeting(sink) }),
    });
    const onStop = (): void => relay?.abort(stop.signal.reason as SluiceError);
    if (stop.signal.aborted) onStop();
    stop.signal.addEventListener('abort', onStop, { once: true });
    return relay.run();
  };

  const traffic = (): Traffic | undefined => relay && { toSink: relay.toSink.bytes, toSource: relay.toSource.bytes };

  const refuse = (error: unknown): Outcome => {
    const reason = wrap('SLUICE_DIAL', `dial ${general.text}`, error);
    abortConnection(inbound, forStrangers(reason));
    return { how: 'cut', by: 'sink', reason };
  };
  const finish = (outcome: Outcome): Outcome => {
    logClose(given, outcome, traffic(), performance.now() - since);
    return outcome;
  };
  return {
    outcome: run().catch(refuse).then(finish),
    since,
    traffic,
    abort: (reason) => stop.abort(reason),
  };
}

/** @throws SluiceError SLUICE_TOKEN */
async function reachContext(
  link: Link,
  sink: Address,
  inbound: Inbound,
  given: ServeContext,
  variables: Variables | undefined,
): Promise<ReachContext> {
  const { log, folders, loudness } = given;
  const { peer, identity, request } = inbound;
  const reference = tokenFor(sink, given.token);
  return {
    log,
    folders,
    link: link.name,
    protocols: protocolsOf(sink),
    ask: link.ask,
    peer,
    ...(identity && { identity }),
    ...(request && { request }),
    ...(variables && { variables }),
    ...(reference && { token: await readToken(reference) }),
    readSecret: readSecretAt,
    tell: (message, fields) => log[loudness.outage](message, fields),
  };
}

/**
 * A half-open connection of a plain peer may be one that nobody will ever close. In a session an end is proven, and a dead
 * peer is found by its heartbeat: a command may be as silent as it likes, as with ssh.
 */
const usualIdle = ({ delivered }: Inbound): number => (delivered === undefined ? LIMITS.idleAfterEnd : 0);

/** What a source throws must not leave the sink behind. */
function tellEstablished(inbound: Inbound, outbound: Outbound): void {
  try {
    inbound.established?.({ exit: outbound.exit !== undefined });
  } catch (error) {
    abortConnection(outbound, error as Error);
    throw error;
  }
}

/** A source that goes away while it waits for its turn, or while its sink is being dialed, ends the attempt. */
async function whileOpen<T>(
  { stream }: Inbound,
  stopped: AbortSignal,
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const gone = new AbortController();
  const onClose = (): void => gone.abort(new Error('the source went away'));
  stream.once('close', onClose);
  if (stream.closed) onClose();
  try {
    return await attempt(AbortSignal.any([gone.signal, stopped]));
  } finally {
    stream.off('close', onClose);
  }
}

const showStatus = (status: ExitStatus | undefined): Record<string, unknown> => {
  if (status === undefined) return {};
  return 'code' in status ? { exit: status.code } : { signal: status.signal };
};

function logClose(
  { log, loudness }: ServeContext,
  outcome: Outcome,
  traffic: Traffic | undefined,
  milliseconds: number,
): void {
  const fields = {
    how: outcome.how,
    ...(outcome.by && { by: outcome.by }),
    ...showStatus(outcome.status),
    ...(traffic ? { in: traffic.toSink, out: traffic.toSource } : {}),
    seconds: Number((milliseconds / 1000).toFixed(3)),
    ...(outcome.reason && { code: outcome.reason.code, reason: outcome.reason.message }),
  };
  const isWanted = outcome.how === 'ended' || outcome.reason?.code === 'SLUICE_STOPPED';
  log[isWanted ? 'info' : loudness.cut]('closed', fields);
}
