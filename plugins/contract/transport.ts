/**
 * The contract between Sluice and a transport. A transport knows one kind of byte stream: it *listens* (it can be
 * a source), *dials* (it can be a sink), or both; which, is told by which methods are there.
 *
 * What happens, in order:
 * 1. `parse` runs when an address is read, before anything is opened. It is pure, and its result is handed back to
 *    the other methods untouched.
 * 2. `listen` resolves once it is bound, and rejects if it cannot be. From then on it calls `accept` for every
 *    connection, fully made: handshakes are the transport's, concurrent, under a deadline, and one that fails
 *    concerns nobody else.
 * 3. For each accepted connection the core calls `dial` of the sink (or `adopt`, below), then moves the bytes.
 * 4. To stop a listener the core aborts `signal`: no `accept` follows, accepted connections live on, and `closed`
 *    resolves when nothing of the listener is left. One that ends without having been asked to has failed.
 *
 * Rules that no type checker enforces:
 * - `accept` is synchronous; the core owns the connection from that call on. If `handle` is set nothing was read.
 * - `end()` on a stream tells the peer that this direction is finished, and reading goes on, where `half-close` is
 *   among the capabilities.
 * - `'end'` is emitted only for a proved end where `proves-end` is among them; anything else is an error.
 * - `destroy()` frees the descriptor or ends the child without waiting for the peer.
 * - Never `for await` over a connection's stream: at its end that destroys the other direction too.
 * - A bare socket has an `'error'` listener from its first tick on, or a reset ends the process.
 * - The dial's `signal` bounds the attempt only; the core never aborts it once `dial` has settled.
 * - An error of `dial` that has a field `final: true` says that trying again is of no use (refused credentials).
 * - Nothing is written to standard output: it belongs to the data.
 */
import type {
  Admitted,
  Adopted,
  Arrival,
  Credentials,
  Identity,
  Inbound,
  Outbound,
  Peer,
  Proof,
  Protocol,
  Request,
} from './connection.ts';
import type { OptionSpecs, Options } from './options.ts';
import type { Socket } from 'node:net';

/** The version of this contract. It changes when a plugin that was right could be wrong now. */
export const CONTRACT = 1;

export type Role = 'source' | 'sink';

/**
 * What a transport promises; `sluice check` reads it to say what a pair cannot carry.
 * - `half-close`: one direction can end while the other goes on
 * - `proves-end`: an end that arrives is an end, never the death of the peer
 * - `tells-cut`: when we cut, the peer can tell it from an end
 * - `diagnostics`, `exit-status`: it carries them · `hand-off`: it offers `handle`, or has `adopt`
 */
export type Capability = 'half-close' | 'proves-end' | 'tells-cut' | 'diagnostics' | 'exit-status' | 'hand-off';

export type Fields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

/** Folders of this user that exist or may be made: for locks (gone after boot) and for what lasts. */
export interface Folders {
  readonly runtime: string;
  readonly state: string;
}

export interface ParseInput<S extends OptionSpecs> {
  /** What follows `scheme:` (and `//`), percent-decoded unless the transport is `literal`. */
  readonly target: string;
  readonly scheme: string;
  readonly options: Options<S>;
  readonly role: Role;
  /** Makes a path absolute: `~/` is the user's home, anything else is relative to where the address was written. */
  readonly resolvePath: (path: string) => string;
  /** The words of a command, where the configuration gave them as a list. */
  readonly words?: readonly string[];
}

export interface DialContext {
  /** What may be agreed on, where the transport can negotiate (ALPN, subprotocol) or its address demands it. */
  readonly protocols: readonly Protocol[];
  /** Fires when the attempt is given up: after ten seconds, or when nobody waits for it any more. */
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly folders: Folders;
  /** The token to show, for a transport that `showsToken`; never a part of a log line or a message. */
  readonly token?: string;
  /** Reads what is kept at an option of type `reference`, one line; it becomes no part of a log line or a message either. */
  readonly readSecret: (reference: string) => Promise<string>;
  /** The link that dials, and the peer of the connection it dials for: who it is, and what it asks for. */
  readonly link: string;
  readonly peer: Peer;
  readonly identity?: Identity;
  readonly request?: Request;
  /** Variables for a command, beside those of `request`: how it reaches what the far side offers it. */
  readonly variables?: Readonly<Record<string, string>>;
}

export interface ListenContext {
  readonly protocols: readonly Protocol[];
  /** Fires once, when the source is to stop. */
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly folders: Folders;
  /** Once for each connection, after `listen` was called and before `closed` has resolved. Never throws. */
  readonly accept: (inbound: Inbound) => void;
  /**
   * Call it for each connection that has a handshake, with its peer's address, before anything is spent on it. `undefined`:
   * close it without a word. What it returns goes into the inbound, and is told when the socket closes. `cut` is called for
   * one that must go before it is accepted.
   */
  readonly arrive: (peer: string, cut: () => void) => Arrival | undefined;
  /**
   * For a transport that gets a token before there is a connection (a header of an HTTP request): who shows this, and that
   * they may connect. `undefined`: refuse them, and do not say why; the core has logged it. The credentials go into the
   * inbound.
   */
  readonly admit: (credentials: Credentials, peer: string) => Admitted | undefined;
  /** What those who may use the source prove themselves by: a certificate or a UNIX peer is asked for only then. */
  readonly proofs: () => readonly Proof[];
}

export interface Listener {
  /** The address as bound (a chosen port instead of 0). */
  readonly address: string;
  /** The address that a client would dial, where it differs: with a host name, with a pin. */
  readonly dial?: string;
  /** Who can reach it: `local` only for what never leaves this machine. Absent counts as `network`. */
  readonly reach?: 'local' | 'network';
  /**
   * Reads anew what the source has of files (certificates), and of `proofs`. What it resolves with puts it into effect, for
   * connections from then on; until then, and if it rejects, nothing has changed.
   */
  renew?(): Promise<() => void>;
  /** It is one connection that came with the process (systemd's `Accept=yes`): no other comes, and it closes without a signal. */
  readonly servesOnce?: true;
  /**
   * Resolves after the signal, when the listener has freed all that was its own. Rejects where it cannot go on, with an Error
   * that says why: its link is over then, which is a failure, and what it has accepted lives on.
   */
  readonly closed: Promise<void>;
}

export interface Transport<A = unknown, S extends OptionSpecs = OptionSpecs> {
  /** The version of the contract that it was written for: a plugin of another is refused, and told so. */
  readonly contract: typeof CONTRACT;
  /** How messages call it; usually its scheme. */
  readonly name: string;
  readonly schemes: readonly string[];
  /** One line for the table and for error messages, for example `tcp://HOST:PORT`; with `://` the target follows that. */
  readonly grammar: string;
  /** One line for the table. */
  readonly summary: string;
  readonly options: S;
  readonly capabilities: readonly Capability[];
  /** What cannot be told by capabilities, in sentences for `sluice check`. */
  readonly caveats?: readonly string[];
  /** All text after the colon is the target: no `?`, no decoding. Options come from the long form and from flags. */
  readonly literal?: true;
  /** Nobody between can read what it carries, and the server is verified: a token may pass. */
  readonly encrypts?: true;
  /** A connection breaks only when its peer is gone: there is nobody who could come back to a session. */
  readonly diesWithPeer?: true;
  /** It serves one connection in a process's life: a link with it ends after that one. */
  readonly servesOnce?: true;
  /** A sink that does what its client asks for: it is refused where the link does not say who may, by name. */
  readonly needsIdentity?: true;
  /** Where a sink's address may hold `{identity}`: `target`, and options by name. It is filled in before `parse`. */
  readonly personal?: readonly string[];
  /** Services that a sink answers besides the default one: subsystems, in the words of ssh. */
  readonly services?: readonly string[];
  /** It shows `token` of a dial to the far side by itself, before any byte; elsewhere only a session can. */
  readonly showsToken?: true;
  /** What it accepts comes with an identity, or from somebody who had to prove one. */
  readonly identifies?: true;
  /** It can agree on a protocol with the far side (ALPN, subprotocol), so that plain peers are served beside sessions. */
  readonly negotiates?: true;
  /** What a client of a source at this address can prove itself by, beside a token. */
  proves?(address: A): readonly Proof[];
  /**
   * Reads an address. Synchronous, quick (it runs for each address at start) and pure: nothing is opened or looked up.
   * @throws Error whose message says what was expected and what was got
   */
  parse(input: ParseInput<S>): A;
  /** What a source at this address occupies; two links that occupy the same are refused before anything starts. */
  occupies?(address: A): string | undefined;
  /** Who could reach a source at this address, as far as the address alone tells. */
  reach?(address: A): 'local' | 'network' | undefined;
  /** What an administrator should be warned of when a link with this sink starts; `who` may use it. */
  caution?(address: A, who: readonly string[]): string | undefined;
  /** ms that a dial may take beyond the usual deadline. */
  dialTimeout?(address: A): number;
  /** The account that a command of this sink runs as, where it is another than ours. */
  account?(address: A): string | undefined;
  /** What a dial goes through on its way, a proxy say, for messages and the log: `the proxy http://…`. Never throws. */
  via?(address: A): string | undefined;
  /** Looks at what the address needs (files, programs) without opening it, for `sluice check`: one sentence a fault. */
  inspect?(address: A, role: Role, proofs?: readonly Proof[]): Promise<readonly string[]>;
  /** Resolves when bound, at most ten seconds later. @throws Error if it cannot be; then nothing is left of it */
  listen?(address: A, context: ListenContext): Promise<Listener>;
  /**
   * Resolves with a connection that the core owns from then on. May be called many times, also at once. When its signal
   * fires it rejects soon. @throws Error if there is no connection; then nothing is left of the attempt
   */
  dial?(address: A, context: DialContext): Promise<Outbound>;
  /**
   * Takes over an untouched socket: a command gets it as its standard input and output. Returns `undefined` where
   * this address does not want it; then the socket is as it was and `dial` is called.
   */
  adopt?(address: A, handle: Socket, context: DialContext): Promise<Adopted | undefined>;
}

/** Identity function: it exists so that the types of options and address are inferred. */
export const defineTransport = <A, const S extends OptionSpecs>(transport: Transport<A, S>): Transport<A, S> =>
  transport;
