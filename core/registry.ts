import { SluiceError } from './errors.ts';
import { didYouMean } from './nearest.ts';
import type { Transport } from '../plugins/contract/index.ts';

/** Scheme → transport. A scheme has one owner; a second claim is refused with both names. */
export class Registry {
  readonly #byScheme = new Map<string, Transport>();

  constructor(transports: Iterable<Transport>) {
    for (const transport of transports) this.register(transport);
  }

  register(transport: Transport): void {
    for (const scheme of transport.schemes) {
      const owner = this.#byScheme.get(scheme);
      if (owner !== undefined) {
        throw new SluiceError(
          'SLUICE_PLUGIN',
          `transport "${transport.name}" claims the scheme "${scheme}:", which "${owner.name}" has already; remove one of them`,
        );
      }
      this.#byScheme.set(scheme, transport);
    }
  }

  /** @throws SluiceError SLUICE_ADDRESS with the nearest scheme. */
  get(scheme: string): Transport {
    const transport = this.#byScheme.get(scheme);
    if (transport !== undefined) return transport;
    const hint = didYouMean(scheme, this.#byScheme.keys()) || `; known: ${this.schemes().join(', ')}`;
    throw new SluiceError('SLUICE_ADDRESS', `unknown scheme "${scheme}:"${hint}`);
  }

  has(scheme: string): boolean {
    return this.#byScheme.has(scheme);
  }

  schemes(): string[] {
    return [...this.#byScheme.keys()].toSorted();
  }

  transports(): Transport[] {
    return [...new Set(this.#byScheme.values())].toSorted((a, b) => a.name.localeCompare(b.name));
  }
}
