/**
 * An in-memory network for sessions: each dial makes a wire, whose far end the listener accepts. Nothing of it is a
 * double: the dialer and the listener are those of the product, and only the carrier is ours.
 */
import { chaosPair, type Chaos, type Wire } from './chaos.ts';
import { RecordedLog } from './gateway.ts';
import { dialSession, type DialedSession, type DialerOptions } from '../../core/session/dialer.ts';
import { SessionListener, type ListenerOptions } from '../../core/session/listener.ts';
import type { SessionStream } from '../../core/session/stream.ts';

export interface Network {
  readonly listener: SessionListener;
  readonly log: RecordedLog;
  /** Streams that the listening side was asked for, in their order. */
  readonly opened: SessionStream[];
  readonly wires: Wire[];
  readonly dial: DialerOptions['dial'];
  isUp: boolean;
  session(options?: Partial<DialerOptions>): Promise<DialedSession>;
  /** Cuts the wire that is in use. */
  cut(...how: Parameters<Wire['cut']>): void;
}

/** @param chaosOf what the wire of each dial does, by its number */
export function network(
  options: Partial<ListenerOptions> = {},
  chaosOf: (dial: number) => Chaos = () => ({}),
): Network {
  const log = new RecordedLog();
  log.setMaxListeners(0);
  const opened: SessionStream[] = [];
  const wires: Wire[] = [];
  const listener = new SessionListener({
    admit: () => ({}),
    detachedLife: 5_000,
    maxDetached: 10,
    onOpen: (_request, { accept }) => opened.push(accept({ exit: false })),
    log: log.asLog(),
    ...options,
  });
  const self: Network = {
    listener,
    log,
    opened,
    wires,
    isUp: true,
    dial: async () => {
      if (!self.isUp) throw new Error('the network is down');
      const { near, far, wire } = chaosPair(chaosOf(wires.length));
      wires.push(wire);
      listener.accept({ stream: far, peer: { address: 'memory' } }).then(
        () => wire.arm(),
        () => {},
      );
      return { stream: near, peer: { address: 'memory' } };
    },
    session: (more = {}) =>
      dialSession({ dial: self.dial, detachedLife: 5_000, ...more }, new AbortController().signal),
    cut: (...how) => wires.at(-1)?.cut(...how),
  };
  return self;
}
