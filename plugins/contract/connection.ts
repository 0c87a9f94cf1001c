import type { Socket } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';

/** What two sluices may speak on a connection instead of plain bytes. A transport only negotiates it. */
export type Protocol = 'session';

/** Who a far end has proved to be: a name of the configuration, and the only thing that access rules read. */
export interface Identity {
  readonly name: string;
}

/** A certificate that a client has shown, and whose private key it has. */
export interface ClientCertificate {
  /** `sha256/BASE64` of its public key (SPKI). */
  readonly pin: string;
  /** The DNS names and the URIs of its subject alternative name. */
  readonly names: readonly string[];
  readonly uris: readonly string[];
  /** Whether an authority of the source has signed it: asked anew when the authorities may have changed. */
  isTrusted(): boolean;
}

/** Who runs the process at the other end of a UNIX socket, as the kernel tells it. */
export interface UnixPeer {
  readonly uid: number;
  readonly gid: number;
}

/** What a far end has shown of who it is. Which identity that makes is the core's to say, in one place. */
export interface Credentials {
  readonly token?: string;
  readonly certificate?: ClientCertificate;
  readonly unix?: UnixPeer;
}

/** The words of a configuration for what an identity proves itself by. */
export type Proof = 'token' | 'pin' | 'san' | 'spiffe' | 'uid' | 'gid';

/** Who was let in; without an identity where nobody has to prove one. */
export interface Admitted {
  readonly identity?: Identity;
}

/** What a client asks for beside its bytes (as with ssh). A sink runs what its own configuration says, and may be told. */
export interface Request {
  /** The client's command, byte for byte as ssh would send it: words joined by single blanks. At most 32 KiB, no NUL. */
  readonly command?: Buffer;
  /** Variables of the client, of those that may be carried: `LANG`, `LC_*`, `TERM`, `GIT_PROTOCOL`. */
  readonly environment: Readonly<Record<string, string>>;
  /** The `user@` that the client wrote: carried along, and never an account. */
  readonly user?: string;
}

/** How a command behind a connection ended: its own exit code, or the signal that killed it. */
export type ExitStatus = { readonly code: number } | { readonly signal: NodeJS.Signals };

/** The far end of a connection, as the log shows it. */
export interface Peer {
  readonly address: string;
}

/**
 * One byte stream both ways.
 *
 * On `stream`, Node's own events carry the meaning: `'end'` is the far side's end (the other direction goes on),
 * `end()` passes our end on, and `'close'` or `'error'` without `'end'` is a cut. A transport emits `'end'` only
 * where it saw its own end mark; where its medium has none (plain TCP, UNIX sockets), it lacks the capability
 * `proves-end` and says so.
 */
export interface Connection {
  readonly stream: Duplex;
  readonly peer: Peer;
  /**
   * Cuts the connection as hard as the medium can tell it (RST, a close code, a signal), and frees it.
   * Must not wait for the peer. Absent means `stream.destroy(reason)`. Called at most once.
   */
  readonly abort?: (reason: Error) => void;
  /**
   * Resolves when the far side has taken all that was written, or with false if that will never be; never rejects. For
   * streams that know it: the end of a write is not delivery.
   */
  readonly delivered?: Promise<boolean>;
  /** What was agreed to be spoken instead of plain bytes, of the `protocols` that the context offered. */
  readonly protocol?: Protocol;
}

/**
 * A stream that has let go of a chunk when the callback of its write runs, as Node's sockets have: who writes to it may
 * then use the buffer again, which makes the way to it much faster. Most streams (a pass-through) cannot promise that.
 */
export interface ReleasingStream {
  readonly releasesChunks: true;
}

/**
 * A stream that uses the memory of its chunks again when its reader gives them back, whole or in pieces, once each. The reader asks
 * for that first, and only if it is the only one to read: a stream in between might keep a chunk that it has passed on.
 */
export interface LendingStream {
  /** From now on chunks may be given back. A reader that forgets some loses nothing but the reuse. */
  lend(): void;
  /** Nobody reads these bytes any more. Bytes that are not this stream's are left alone. */
  giveBack(bytes: Buffer): void;
}

/** A connection that has come in, and that nobody knows yet: the core counts it, and cuts it if it takes too long. */
export interface Arrival {
  /** Its socket has closed, whether it was accepted or not. A second call does nothing. */
  release(): void;
}

/** Accepted by a source. It can be shown what the sink says beside its data, and told how the sink ended. */
export interface Inbound extends Connection {
  /** Who it is, where whoever made the connection knows: the streams of a session. */
  readonly identity?: Identity;
  /** What it has shown of who it is. */
  readonly credentials?: Credentials;
  /** What `arrive` gave for it. */
  readonly arrival?: Arrival;
  readonly request?: Request;
  readonly diagnostics?: Writable;
  readonly exited?: (status: ExitStatus) => void;
  /** Told when the sink has been reached; `exit` is whether an exit status will come. */
  readonly established?: (sink: { readonly exit: boolean }) => void;
  /** The accepted socket itself, paused and untouched: what a sink that can `adopt` may take over. */
  readonly handle?: Socket;
}

/** What a sink that runs something tells beside the data. */
export interface Diagnosed {
  readonly diagnostics?: Readable;
  /** Resolves once, when the command has ended, or with nothing if that will never be known; never rejects. */
  readonly exit?: Promise<ExitStatus | undefined>;
}

/** Dialed by a sink. */
export interface Outbound extends Connection, Diagnosed {}

/** A connection whose socket was handed to a command: no byte of it passes through us. */
export interface Adopted extends Diagnosed {
  readonly exit: Promise<ExitStatus>;
  readonly abort: (reason: Error) => void;
}
