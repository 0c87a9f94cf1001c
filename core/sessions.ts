/**
 * Where sessions meet links. A stream that a far sluice opens becomes an inbound connection of the link; a sink that
 * speaks the session is reached by a stream of one. Everything else of a session is in `core/session/`, which knows
 * neither links nor transports.
 */
import { isPrivate, type Address } from './address.ts';
import { logLines } from './diagnostics.ts';
import { dial } from './dial.ts';
import { SluiceError, reasonOf, wrap } from './errors.ts';
import { LIMITS } from './limits.ts';
import { DEFAULT_SERVICE, type Ask } from './link.ts';
import { fromMetadata, toMetadata } from './request.ts';
import type {
  Admitted,
  Connection,
  DialContext,
  Inbound,
  Log,
  Outbound,
  Peer,
  Protocol,
} from '../plugins/contract/index.ts';
import type { TokenReference } from './token.ts';
import type { DialedSession } from './session/dialer.ts';
import type { Far, ListenerOptions, SessionListener } from './session/listener.ts';
import type { OpenAnswer, OpenRequest, Session } from './session/session.ts';
import type { SessionStream } from './session/stream.ts';

/** What may be agreed on at an address. */
export const protocolsOf = ({ session }: Address): readonly Protocol[] => (session === 'never' ? [] : ['session']);

/** A far end that has been asked twice and says nothing is dead. */
const heartbeatOf = ({ heartbeat }: Address) => ({ ask: heartbeat, dead: 3 * heartbeat });

/** Whether a token would reach the far side: by the transport itself, or in a session. */
const canShowToken = ({ session, transport }: Address): boolean => transport.showsToken === true || session !== 'never';

/** The token to show to a sink: its own, or the usual one where nobody can read it on its way. */
export const tokenFor = (sink: Address, usual: TokenReference | undefined): TokenReference | undefined =>
  sink.token ?? (isPrivate(sink.transport, sink.parsed) && canShowToken(sink) ? usual : undefined);

/** Agreed on, or demanded where nothing can be negotiated. */
export const isSession = ({ protocol }: Connection, { session, transport }: Address): boolean =>
  protocol === 'session' || (session === 'always' && transport.negotiates !== true);

/** A stream that the far side opened, as a connection of a link. It is answered when the sink has been reached. */
function toInbound(
  { metadata }: OpenRequest,
  { stream, accept, refuse }: OpenAnswer,
  { peer, identity }: Far,
): Inbound {
  let isAnswered = false;
  const diagnostics = stream.sendDiagnostics();
  return {
    stream,
    delivered: stream.delivered,
    peer,
    ...(identity && { identity }),
    request: fromMetadata(metadata),
    diagnostics,
    exited: (status) => stream.sendExit(status),
    established: (sink) => {
      isAnswered = true;
      accept(sink);
    },
    abort: (reason) => (isAnswered ? stream.destroy(reason) : refuse(reason.message)),
  };
}

/** What a link does with the sessions of its source. */
export interface SessionHost {
  readonly log: Log;
  readonly limits: Pick<ListenerOptions, 'maxStreams'>;
  /** Who shows this token on this carrier, if they may have a session. */
  admit(token: string | undefined, carrier: Inbound): Admitted | undefined;
  /** A stream for a service, opened in `session`; throws what the far side is to be told if it may not have it. */
  accept(inbound: Inbound, request: OpenRequest, session: Session): void;
  /** A new session, before its first carrier is attached. */
  began?(session: Session, far: () => Far, id: string): void;
}

/** Answers an OPEN: what the host throws is told to the far side. */
export function answerOpen(
  request: OpenRequest,
  answer: OpenAnswer,
  far: Far,
  accept: (inbound: Inbound) => void,
): void {
  try {
    accept(toInbound(request, answer, far));
  } catch (error) {
    answer.refuse(reasonOf(error));
  }
}

/** The sessions of one link's source. */
export async function listenForSessions(source: Address, host: SessionHost): Promise<SessionListener> {
  const { SessionListener: Listener } = await import('./session/listener.ts');
  return new Listener({
    admit: host.admit,
    detachedLife: source.detachedLife,
    heartbeat: heartbeatOf(source),
    ...host.limits,
    maxDetached: LIMITS.detachedSessions,
    log: host.log,
    ...(host.began && { onSession: host.began.bind(host) }),
    onOpen: (request, answer, far, session) =>
      answerOpen(request, answer, far, (inbound) => host.accept(inbound, request, session)),
  });
}

export interface ReachContext extends Omit<DialContext, 'signal'> {
  /** What cannot be told to a plain peer: only a session will do. */
  readonly ask: Ask | undefined;
  /** Tells of a lost connection, and of its recovery. */
  readonly tell: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/**
 * Dials a sink; where it speaks the session, over one that survives its carriers.
 *
 * @throws SluiceError SLUICE_DIAL
 */
export async function reach(sink: Address, context: ReachContext, cancel: AbortSignal): Promise<Outbound> {
  const carrier = await dial(sink, context, cancel);
  try {
    if (isSession(carrier, sink)) return await openStream(sink, carrier, context, cancel);
    if (context.ask === undefined && sink.session !== 'always') return carrier;
    carrier.stream.destroy();
    throw new Error('the far side speaks plain bytes there, and not the session of a sluice');
  } catch (error) {
    throw wrap('SLUICE_DIAL', `dial ${sink.text}`, error);
  }
}

/** An open stream of a session, as a connection that a sink has dialed. */
export const toOutbound = (stream: SessionStream, exit: boolean, peer: Peer): Outbound => ({
  stream,
  delivered: stream.delivered,
  peer,
  diagnostics: stream.diagnostics,
  ...(exit && { exit: stream.exit }),
  abort: (reason) => stream.destroy(reason),
});

/** A stream of a session that has no other, and ends with it. @throws what the far side said; then the session is over */
async function openIn(
  session: Session,
  request: OpenRequest,
  cancel: AbortSignal,
): Promise<{ stream: SessionStream; exit: boolean }> {
  const onCancel = (): void =>
    session.end(SluiceError.is(cancel.reason) ? cancel.reason : new Error('the source went away'));
  cancel.addEventListener('abort', onCancel, { once: true });
  try {
    if (cancel.aborted) onCancel();
    const { stream, opened } = session.open(request);
    stream.once('close', () => session.drain());
    return { stream, ...(await opened) };
  } catch (error) {
    session.drain();
    throw error;
  } finally {
    cancel.removeEventListener('abort', onCancel);
  }
}

export interface BeginOptions {
  /** Carriers that are used before any is dialed. */
  readonly carriers?: Outbound[];
  /** End what is left of our earlier sessions there. */
  readonly takeOver?: boolean;
  readonly onOpen?: (request: OpenRequest, answer: OpenAnswer) => void;
}

/**
 * Begins a session with a sink that speaks it, and keeps it up.
 *
 * @throws SluiceError SLUICE_DIAL, DeniedError, ProtocolError
 */
export async function beginSession(
  sink: Address,
  context: Omit<ReachContext, 'ask'>,
  { carriers = [], takeOver = false, onOpen }: BeginOptions,
  cancel: AbortSignal,
): Promise<DialedSession> {
  const { dialSession } = await import('./session/dialer.ts');
  const { tell, token } = context;
  const redial = async (signal: AbortSignal): Promise<Connection> => {
    const carrier = carriers.pop() ?? (await dial(sink, context, signal));
    if (carrier.diagnostics !== undefined) logLines(carrier.diagnostics, context.log, 'warn');
    if (isSession(carrier, sink)) return carrier;
    carrier.stream.destroy();
    throw new SluiceError('SLUICE_DIAL', `${sink.text}: the far side does not speak the session of a sluice`);
  };
  const watcher = {
    lost: (reason: Error) => tell('connection lost, redialing', { reason: reason.message }),
    resumed: (milliseconds: number) =>
      tell('connection resumed', { seconds: Number((milliseconds / 1000).toFixed(3)) }),
  };
  const { detachedLife, transport } = sink;
  const shown = transport.showsToken ? undefined : token;
  return dialSession(
    {
      dial: redial,
      detachedLife,
      heartbeat: heartbeatOf(sink),
      watcher,
      token: shown,
      takeOver,
      ...(onOpen && { onOpen }),
    },
    cancel,
  );
}

async function openStream(
  sink: Address,
  first: Outbound,
  context: ReachContext,
  cancel: AbortSignal,
): Promise<Outbound> {
  const { ask, request = { environment: {} } } = context;
  const begin: BeginOptions = { carriers: [first], takeOver: ask?.takeOver ?? false };
  const { session } = await beginSession(sink, context, begin, cancel);
  const metadata = toMetadata(ask?.request ?? request);
  const { stream, exit } = await openIn(session, { service: ask?.service ?? DEFAULT_SERVICE, metadata }, cancel);
  return toOutbound(stream, exit, first.peer);
}
