/** Where a stream that a far side opened comes from: a transport hands connections on as they are, and this is not its business. */
import type { Inbound } from '../../plugins/contract/index.ts';
import type { FarEnd, Tunnel } from './tunnel.ts';

export interface Origin {
  readonly tunnel: Tunnel;
  readonly end: FarEnd;
  readonly metadata: Readonly<Record<string, unknown>>;
}

export class Origins {
  readonly #byStream = new WeakMap<object, Origin>();

  remember({ stream }: Inbound, origin: Origin): void {
    this.#byStream.set(stream, origin);
  }

  of({ stream }: Inbound): Origin | undefined {
    return this.#byStream.get(stream);
  }
}
