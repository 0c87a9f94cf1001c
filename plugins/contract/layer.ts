/**
 * A layer changes the bytes of a connection on their way, whatever transport it belongs to: it compresses, limits, hides or
 * encrypts them. In an address it stands before the scheme, `zstd+tcp://host:7000`, and layers can be chained: in
 * `rate+zstd+tcp:` what we send is limited, then compressed, then sent.
 *
 * What happens, in order:
 * 1. `parse` reads the layer's own options, which stand in the address as `NAME.OPTION=VALUE` (`?zstd.level=3`). It is pure.
 * 2. For each connection that the transport below has accepted or dialed, `wrap` is called with it and owns it from then
 *    on. What `wrap` resolves with is used instead of it; identity, diagnostics and exit status go past the layer (but see
 *    `handshakes`).
 * 3. If `wrap` rejects, or has not settled after ten seconds, or its `signal` fires, the connection below is cut.
 *
 * Rules that no type checker enforces; `through` keeps the first four:
 * - `end()` of the layer's stream becomes an end below, after all that was written; an end below becomes `'end'`, after
 *   all that was read. One direction ends, the other goes on.
 * - A break below destroys the layer's stream, and is never shown as an end. What arrives damaged or incomplete is a break.
 * - `destroy()` of the layer's stream destroys the one below.
 * - The layer's stream lives until the one below has closed, also when both directions have ended: a command may still work.
 * - What nobody reads is not taken from below, but for one buffer, and what below does not take is not taken from above.
 * - What is written leaves at once: an interactive program waits for the answer to each small write.
 * - `signal` bounds `wrap` only. The core never aborts it once `wrap` has settled.
 */
import type { Connection, Identity, Protocol } from './connection.ts';
import type { OptionSpecs, Options } from './options.ts';
import type { Duplex } from 'node:stream';
import type { CONTRACT, Capability, Folders, Log, Role } from './transport.ts';

/** Those capabilities that a layer can take away or add: all others go past it. */
export type StreamCapability = Exclude<Capability, 'diagnostics' | 'exit-status' | 'hand-off'>;

export interface LayerParseInput<S extends OptionSpecs> {
  readonly options: Options<S>;
  readonly role: Role;
  /** Makes a path absolute: `~/` is the user's home, anything else is relative to where the address was written. */
  readonly resolvePath: (path: string) => string;
}

export interface LayerContext {
  /** `source`: the connection was accepted (we are the server); `sink`: it was dialed. */
  readonly role: Role;
  /** What may be agreed on, for a layer that `negotiates`; else the transport below may. */
  readonly protocols: readonly Protocol[];
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly folders: Folders;
}

/** What a layer makes of a connection. */
export interface Layered {
  readonly stream: Duplex;
  /** What was agreed to be spoken instead of plain bytes; where it is not given, what was agreed below. */
  readonly protocol?: Protocol;
  /** Who the layer has proved the far end to be; where it is not given, who the transport below has. */
  readonly identity?: Identity;
}

export interface Layer<A = unknown, S extends OptionSpecs = OptionSpecs> {
  /** The version of the contract that it was written for. */
  readonly contract: typeof CONTRACT;
  /** The word before the plus sign, and before the dot of its options. */
  readonly name: string;
  /** One line for the table. */
  readonly summary: string;
  readonly options: S;
  /** What it passes on where the transport below has it. */
  readonly keeps: readonly StreamCapability[];
  /** What it promises over any transport, also over one that has it not. */
  readonly adds: readonly StreamCapability[];
  /** What cannot be told by capabilities, in sentences for `sluice check`. */
  readonly caveats?: readonly string[];
  /** Nobody between can read what it carries, and the server is verified: a token may pass. */
  readonly encrypts?: true;
  /**
   * Its `wrap` waits for the far side. Then, and where it encrypts, nothing goes beside the bytes: a stream of a tunnel must be
   * open before its sink is known, and what goes beside is not encrypted. A session inside (`session=yes`) carries it.
   */
  readonly handshakes?: true;
  /** It can agree on a protocol with the far side by itself; then the transport below does not. */
  readonly negotiates?: true;
  parse(input: LayerParseInput<S>): A;
  /** Looks at what its options need (files) without opening it, for `sluice check`: one sentence a fault. */
  inspect?(options: A, role: Role): Promise<readonly string[]>;
  /** @param below owned by the layer from this call on, whatever comes of it */
  wrap(options: A, below: Connection, context: LayerContext): Layered | Promise<Layered>;
}

/** Identity function: it exists so that the types of options are inferred. */
export const defineLayer = <A, const S extends OptionSpecs>(layer: Layer<A, S>): Layer<A, S> => layer;
