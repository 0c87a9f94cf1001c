import { BUNDLED_KINDS } from './bundled-plugins.ts';
import { SluiceError } from './errors.ts';
import { guarded } from './guard.ts';
import { layered } from './layers.ts';
import { didYouMean } from './nearest.ts';
import type { Layer, Transport } from '../plugins/contract/index.ts';

const taken = (what: string, remedy: string): SluiceError => new SluiceError('SLUICE_PLUGIN', `${what}; ${remedy}`);

/**
 * Scheme → transport, and name → layer. A scheme has one owner; a second claim is refused with both names. `LAYER+SCHEME`
 * is a scheme, too, made when it is asked for; one that a transport claims as a whole (`ws+unix`) is that transport's.
 */
export class Registry {
  readonly #byScheme = new Map<string, Transport>();
  readonly #layers = new Map<string, Layer>();
  readonly #composed = new Map<string, Transport>();

  constructor(transports: Iterable<Transport>, layers: Iterable<Layer> = []) {
    for (const transport of transports) this.register(transport);
    for (const layer of layers) this.registerLayer(layer);
  }

  /** @throws SluiceError SLUICE_PLUGIN */
  register(transport: Transport): void {
    const held = guarded(transport);
    for (const scheme of transport.schemes) {
      const owner = this.#byScheme.get(scheme)?.name;
      const claim = `transport "${transport.name}" claims the scheme "${scheme}:"`;
      if (owner !== undefined) throw taken(`${claim}, which "${owner}" has already`, 'remove one of them');
      if (this.has(scheme)) throw taken(`${claim}, which a layer before a transport is`, 'remove one of them');
      this.#byScheme.set(scheme, held);
    }
  }

  /** @throws SluiceError SLUICE_PLUGIN */
  registerLayer(layer: Layer): void {
    const { name } = layer;
    if (this.#layers.has(name)) throw taken(`there is a layer "${name}" already`, 'remove one of them');
    const scheme = this.schemes().find((one) => one.startsWith(`${name}+`));
    if (scheme !== undefined) throw taken(`layer "${name}" cannot be told from the scheme "${scheme}:"`, 'rename it');
    this.#layers.set(name, layer);
  }

  /** @throws SluiceError SLUICE_ADDRESS with the nearest scheme. */
  get(scheme: string): Transport {
    const transport = this.#find(scheme);
    if (transport !== undefined) return transport;
    const unnamed = this.#bundledIn(scheme);
    if (unnamed !== undefined) throw unnamed;
    const prefix = scheme.slice(0, scheme.lastIndexOf('+') + 1);
    const known = [...this.schemes(), ...this.schemes().map((one) => prefix + one)];
    const layers = this.#layers.size > 0 ? `; layers: ${[...this.#layers.keys()].join(', ')}` : '';
    const hint = didYouMean(scheme, known) || `; known: ${this.schemes().join(', ')}${layers}`;
    throw new SluiceError('SLUICE_ADDRESS', `unknown scheme "${scheme}:"${hint}`);
  }

  /** Somebody knows a layer or a scheme of a plugin that comes with Sluice, and has not named the plugin. */
  #bundledIn(scheme: string): SluiceError | undefined {
    const parts = scheme.split('+');
    const isScheme = (part: string, at: number): boolean => at === parts.length - 1 && this.#byScheme.has(part);
    const name = parts.find(
      (part, at) => Object.hasOwn(BUNDLED_KINDS, part) && !this.#layers.has(part) && !isScheme(part, at),
    );
    if (name === undefined) return undefined;
    return new SluiceError(
      'SLUICE_ADDRESS',
      `unknown scheme "${scheme}:"; "${name}" is a ${BUNDLED_KINDS[name]} of the plugin sluice/${name}: add --plugin sluice/${name}, or "plugins: [sluice/${name}]" to the configuration`,
    );
  }

  has(scheme: string): boolean {
    return this.#find(scheme) !== undefined;
  }

  #find(scheme: string): Transport | undefined {
    const known = this.#byScheme.get(scheme) ?? this.#composed.get(scheme);
    if (known !== undefined) return known;
    const plus = scheme.indexOf('+');
    const layer = this.#layers.get(scheme.slice(0, Math.max(plus, 0)));
    const below = layer && this.#find(scheme.slice(plus + 1));
    if (layer === undefined || below === undefined) return undefined;
    const made = layered(layer, below, scheme.slice(plus + 1));
    this.#composed.set(scheme, made);
    return made;
  }

  schemes(): string[] {
    return [...this.#byScheme.keys()].toSorted();
  }

  /** Those that have an option. */
  schemesWith(option: string): string[] {
    return this.schemes().filter((scheme) => Object.hasOwn(this.#byScheme.get(scheme)?.options ?? {}, option));
  }

  layers(): Layer[] {
    return [...this.#layers.values()].toSorted((a, b) => a.name.localeCompare(b.name));
  }

  transports(): Transport[] {
    return [...new Set(this.#byScheme.values())].toSorted((a, b) => a.name.localeCompare(b.name));
  }
}
