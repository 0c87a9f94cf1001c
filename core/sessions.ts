/**
 * Where sessions meet links. A stream that a far sluice opens becomes an inbound connection of the link; a sink that
 * speaks the session is reached by a stream of one. Everything else of a session is in `core/session/`, which knows
 * neither links nor transports.
 */
import type { Address } from './address.ts';
import { dial } from './dial.ts';
import { SluiceError, wrap } from './errors.ts';
import { LIMITS } from './limits.ts';
import type { Connection, DialContext, Inbound, Log, Outbound, Peer, Protocol } from '../plugins/contract/index.ts';
import type { SessionListener } from './session/listener.ts';
import type { OpenAnswer, OpenRequest } from './session/session.ts';

export const DEFAULT_SERVICE = 'default';

/** On carriers that die only with their peer there is nobody who could come back. */
const detachedLifeOf = ({ scheme }: Address): number =>
  scheme === 'unix' || scheme === 'stdio' ? 0 : LIMITS.detachedLife;

/** What may be agreed on at an address: the session only where the address asks for it, as long as it is young. */
export const protocolsOf = ({ session }: Address): readonly Protocol[] => (session ? ['session'] : []);

/** Agreed on, or demanded where nothing can be negotiated. */
export const isSession = ({ protocol }: Connection, { session, transport }: Address): boolean =>
  protocol === 'session' || (session && transport.negotiates !== true);

/** A stream that the far side opened, as a connection of a link. It is answered when the sink has been reached. */
function toInbound({ stream, accept, refuse }: OpenAnswer, peer: Peer): Inbound {
  let isAnswered = false;
  const diagnostics = stream.sendDiagnostics();
  return {
    stream,
    peer,
    diagnostics,
    exited: (status) => stream.sendExit(status),
    established: (sink) => {
      isAnswered = true;
      accept(sink);
    },
    abort: (reason) => (isAnswered ? stream.destroy(reason) : refuse(reason.message)),
  };
}

/** The sessions of one link's source. */
export async function listenForSessions(
  source: Address,
  accept: (inbound: Inbound) => void,
  log: Log,
): Promise<SessionListener> {
  const { SessionListener: Listener } = await import('./session/listener.ts');
  return new Listener({
    tokens: [],
    detachedLife: detachedLifeOf(source),
    maxDetached: LIMITS.detachedSessions,
    log,
    onOpen({ service }: OpenRequest, answer: OpenAnswer, peer: Peer) {
      if (service === DEFAULT_SERVICE) accept(toInbound(answer, peer));
      else answer.refuse(`there is no service "${service}"; this link offers "${DEFAULT_SERVICE}"`);
    },
  });
}

/**
 * Dials a sink; where it speaks the session, over one that survives its carriers.
 *
 * @throws SluiceError SLUICE_DIAL
 */
export async function reach(
  sink: Address,
  context: Omit<DialContext, 'signal'>,
  cancel: AbortSignal,
): Promise<Outbound> {
  const carrier = await dial(sink, context, cancel);
  if (!isSession(carrier, sink)) return carrier;
  try {
    return await openStream(sink, carrier, context, cancel);
  } catch (error) {
    throw wrap('SLUICE_DIAL', `dial ${sink.text}`, error);
  }
}

async function openStream(
  sink: Address,
  first: Outbound,
  context: Omit<DialContext, 'signal'>,
  cancel: AbortSignal,
): Promise<Outbound> {
  const { dialSession } = await import('./session/dialer.ts');
  const { log } = context;
  const carriers = [first];
  const redial = async (signal: AbortSignal): Promise<Connection> => {
    const carrier = carriers.pop() ?? (await dial(sink, context, signal));
    if (isSession(carrier, sink)) return carrier;
    carrier.stream.destroy();
    throw new SluiceError('SLUICE_DIAL', 'the far side does not speak the session any more');
  };
  const watcher = {
    lost: (reason: Error) => log.warn('connection lost, redialing', { reason: reason.message }),
    resumed: (milliseconds: number) =>
      log.warn('connection resumed', { seconds: Number((milliseconds / 1000).toFixed(3)) }),
  };
  const { session } = await dialSession({ dial: redial, detachedLife: detachedLifeOf(sink), watcher }, cancel);
  const { stream, opened } = session.open({ service: DEFAULT_SERVICE, metadata: {} });
  stream.once('close', () => session.drain());
  const { exit } = await opened;
  return {
    stream,
    peer: first.peer,
    diagnostics: stream.diagnostics,
    ...(exit && { exit: stream.exit }),
    abort: (reason) => stream.destroy(reason),
  };
}
