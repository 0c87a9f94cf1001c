/**
 * `tunnel:name/service`: as a source, the streams that the far side of a tunnel opens to this service; as a sink, a stream to
 * the far side's service. The tunnels themselves are the core's, and come in by `TunnelHost`.
 */
import {
  defineTransport,
  type DialContext,
  type Inbound,
  type Outbound,
  type Transport,
} from '../plugins/contract/index.ts';

export interface TunnelAddress {
  readonly tunnel: string;
  readonly service: string;
}

/** The tunnels that run. */
export interface TunnelHost {
  has(tunnel: string): boolean;
  /** For messages: the tunnels that there are, and what to do about one that is missing. */
  explainMissing(tunnel: string): string;
  /** ms that a new stream waits for a far side that is away. */
  wait(tunnel: string): number;
  /** Offers a service until the result is called. @throws Error if there is no such tunnel, or the service is offered already */
  offer(address: TunnelAddress, accept: (inbound: Inbound) => void): () => void;
  /** @throws Error if there is no such tunnel, nobody at its far side, or what the far side said */
  open(address: TunnelAddress, context: DialContext): Promise<Outbound>;
}

const NAME = /^[a-z0-9](?!.*\.\.)[a-z0-9._-]{0,62}$/;
const SERVICE = /^(?![-.])(?!.*\.\.)[A-Za-z0-9._-]{1,255}$/;
const DEFAULT_SERVICE = 'default';

export function createTunnel(host: TunnelHost): Transport {
  return defineTransport({
    contract: 1,
    name: 'tunnel',
    schemes: ['tunnel'],
    grammar: 'tunnel:NAME/SERVICE',
    summary: 'a service of the far side of a tunnel, or one that is offered to it',
    options: {},
    capabilities: ['half-close', 'proves-end', 'tells-cut', 'diagnostics', 'exit-status'],
    identifies: true,
    reach: () => 'local',

    parse({ target }): TunnelAddress {
      const at = target.indexOf('/');
      const tunnel = at < 0 ? target : target.slice(0, at);
      const service = at < 0 ? DEFAULT_SERVICE : target.slice(at + 1);
      if (!NAME.test(tunnel)) throw new Error(`${JSON.stringify(tunnel)} is not the name of a tunnel`);
      if (!SERVICE.test(service))
        throw new Error(
          `${JSON.stringify(service)} is not the name of a service: letters, digits, ".", "_" and "-", and neither "-" nor "." first; it is a name of the far side's configuration, and no path`,
        );
      return { tunnel, service };
    },
    occupies: ({ tunnel, service }) => `service "${service}" of tunnel "${tunnel}"`,
    dialTimeout: ({ tunnel }) => host.wait(tunnel),

    async inspect({ tunnel }) {
      return host.has(tunnel) ? [] : [host.explainMissing(tunnel)];
    },

    async listen(address, { accept, signal }) {
      const stop = host.offer(address, accept);
      const closed = new Promise<void>((resolve) => {
        const close = (): void => {
          stop();
          resolve();
        };
        if (signal.aborted) close();
        else signal.addEventListener('abort', close, { once: true });
      });
      return { address: `tunnel:${address.tunnel}/${address.service}`, reach: 'local', closed };
    },

    dial: (address, context) => host.open(address, context),
  });
}
