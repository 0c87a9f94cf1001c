/** What a session is told by whoever owns it, and how it is asked for streams. */
import type { HeartbeatTimes } from './heartbeat.ts';
import type { OpenRequest, Opened } from './open-request.ts';
import type { SessionStream } from './stream.ts';

export type { OpenRequest, Opened } from './open-request.ts';

/** What a session may be told beside what it must know. */
export interface SessionLimits {
  readonly heartbeat?: HeartbeatTimes;
  /** Streams that the far side may have open at once; more are refused. Asked for each. */
  readonly maxStreams?: () => number;
  /** ms that an OPEN of ours may stay unanswered, while there is a carrier; then it is reset. */
  readonly openDeadline?: number;
}

export interface SessionOptions extends SessionLimits {
  /** The dialing side numbers its streams odd, the other even. */
  readonly side: 'dialer' | 'listener';
  /** A stream that the far side opens: call `accept` or `refuse`, now or later. */
  readonly onOpen: (request: OpenRequest, answer: OpenAnswer) => void;
  /** The peer has acknowledged something new. */
  readonly onProgress: () => void;
  /** The carrier is gone; the session lives on. */
  readonly onDetached: (reason: Error) => void;
  /** It is over; every stream has been freed. */
  readonly onEnded: (reason: Error | undefined) => void;
}

export interface OpenAnswer {
  /** Takes data at once, also before the answer. */
  readonly stream: SessionStream;
  accept(opened: Opened): SessionStream;
  refuse(reason: string): void;
}
