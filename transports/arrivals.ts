/** What happens to every socket that a source accepts, before anything is spent on it: the core may not want it. */
import type { Socket } from 'node:net';
import type { Arrival, ListenContext } from '../plugins/contract/index.ts';
import { peerAddress } from './listening.ts';
import type { Trust } from './proxy-trust.ts';

/** An accepted socket that the core lets go on. */
export interface Arrived {
  readonly raw: Socket;
  /** Where it comes from. */
  readonly peer: string;
  readonly arrival: Arrival;
  /** By the word of a trusted proxy: bytes of it were read, and it cannot be handed off. */
  readonly isProxied: boolean;
}

/** Proxies before a source, and how they tell where a connection comes from. */
export interface Proxied {
  readonly trust: Trust | undefined;
  /** `header`: in X-Forwarded-For, which is read later. */
  readonly by: 'protocol' | 'header';
}

type ReceiveContext = Pick<ListenContext, 'arrive' | 'log'>;

/** Takes accepted sockets; `next` gets those that may go on, and owns them. */
export const receive =
  (
    { arrive, log }: ReceiveContext,
    next: (arrived: Arrived) => void,
    { trust, by }: Proxied = { trust: undefined, by: 'protocol' },
  ) =>
  (raw: Socket): void => {
    raw.on('error', () => {}); // first of all: a bare socket that is reset ends the process otherwise
    const own = peerAddress(raw);
    const go = (peer: string, isProxied: boolean): void => {
      const arrival = raw.destroyed ? undefined : arrive(peer, () => raw.destroy());
      if (arrival === undefined) return void raw.destroy();
      raw.once('close', () => arrival.release());
      next({ raw, peer, arrival, isProxied });
    };
    if (trust?.includes(raw.remoteAddress) !== true) return go(own, false);
    if (by === 'header') return go(`proxy ${own}`, false); // no limit by source is for it
    void import('./proxy-source.ts')
      .then(({ readSourceOf }) => readSourceOf(raw))
      .then((told) => go(told ?? `proxy ${own}`, true))
      .catch((error: Error) => {
        log.warn('connection refused', { peer: own, reason: error.message });
        raw.destroy();
      });
  };
