/** The tunnels of one gateway, by name: what the transport `tunnel:` asks. */
import { didYouMean } from '../nearest.ts';
import type { DialContext, Inbound, Outbound } from '../../plugins/contract/index.ts';
import type { Tunnel } from './tunnel.ts';

/** As the transport's `TunnelHost`, which the core does not import. */
interface ServiceAddress {
  readonly tunnel: string;
  readonly service: string;
}

export class Tunnels {
  readonly #byName = new Map<string, Tunnel>();

  add(tunnel: Tunnel): void {
    this.#byName.set(tunnel.name, tunnel);
  }

  /** The one of this name that there is already, or this one from now on. */
  adopt(tunnel: Tunnel): Tunnel {
    const known = this.#byName.get(tunnel.name);
    if (known === undefined) this.add(tunnel);
    return known ?? tunnel;
  }

  keepOnly(tunnels: ReadonlySet<Tunnel>): void {
    for (const [name, tunnel] of this.#byName) if (!tunnels.has(tunnel)) this.#byName.delete(name);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** A session that this gateway listens for: one that it dials must not be among them. */
  isOwn(id: string): boolean {
    return [...this.#byName.values()].some(({ ends }) => ends.some((end) => end.isListening && end.id === id));
  }

  explainMissing(name: string): string {
    const known = [...this.#byName.keys()];
    const hint =
      didYouMean(name, known) ||
      (known.length > 0 ? `; there are: ${known.join(', ')}` : '; tunnels are those of a configuration, "tunnels:"');
    return `there is no tunnel "${name}"${hint}`;
  }

  wait(name: string): number {
    return this.#byName.get(name)?.wait ?? 0;
  }

  offer({ tunnel, service }: ServiceAddress, accept: (inbound: Inbound) => void): () => void {
    return this.#get(tunnel).offer(service, accept);
  }

  open({ tunnel, service }: ServiceAddress, context: DialContext): Promise<Outbound> {
    const { request = { environment: {} }, signal } = context;
    return this.#get(tunnel).open(service, request, signal);
  }

  /** @throws Error that names those that there are */
  #get(name: string): Tunnel {
    const tunnel = this.#byName.get(name);
    if (tunnel !== undefined) return tunnel;
    throw new Error(this.explainMissing(name));
  }
}
