/** What happens to every socket that a source accepts, before anything is spent on it: the core may not want it. */
import type { Socket } from 'node:net';
import type { Arrival, ListenContext } from '../plugins/contract/index.ts';
import { peerAddress } from './listening.ts';

/** An accepted socket that the core lets go on. */
export interface Arrived {
  readonly raw: Socket;
  /** Where it comes from. */
  readonly peer: string;
  readonly arrival: Arrival;
}

/** Takes accepted sockets; `next` gets those that may go on, and owns them. */
export const receive =
  ({ arrive }: Pick<ListenContext, 'arrive'>, next: (arrived: Arrived) => void) =>
  (raw: Socket): void => {
    raw.on('error', () => {}); // first of all: a bare socket that is reset ends the process otherwise
    const peer = peerAddress(raw);
    const arrival = arrive(peer, () => raw.destroy());
    if (arrival === undefined) return void raw.destroy();
    raw.once('close', () => arrival.release());
    next({ raw, peer, arrival });
  };
