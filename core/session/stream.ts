/**
 * A stream: one connection inside a session. Data both ways with an end of its own for each direction, standard error
 * and an exit status beside it, and a reset that can never be taken for an end.
 *
 * Flow control is by credit, in bytes: the receiver grants what it is willing to hold, so that a stalled stream holds a
 * bounded amount and slows no other. Standard error uses the same credit as data. The grant begins at 1 MiB and doubles
 * while half of it is used up within two round trips, to 16 MiB.
 */
import { Duplex, Readable, Writable } from 'node:stream';
import { FRAME, MAX_PAYLOAD, ProtocolError, type FrameType } from './frames.ts';
import type { ExitStatus } from '../../plugins/contract/index.ts';

export const FIRST_CREDIT = 1024 * 1024;
export const LARGEST_CREDIT = 16 * 1024 * 1024;

/** What a stream needs of its session. */
export interface StreamHost {
  /** The stream has something to send. */
  ready(stream: SessionStream): void;
  /** Sends at once, before any data. */
  control(type: FrameType, stream: number, payload: Buffer): void;
  /** The stream is over in both directions, or was reset; its number is free. */
  finished(stream: SessionStream): void;
  /** ms; `undefined` while unknown. */
  roundTrip(): number | undefined;
}

export interface OutgoingFrame {
  readonly type: FrameType;
  readonly payload: Buffer;
}

interface Pending {
  readonly type: FrameType;
  payload: Buffer;
  readonly done: (() => void) | undefined;
}

const EMPTY = Buffer.alloc(0);
/** The reason of a reset after the last word: the reader has all it will get, and wants no more. */
const DONE = Buffer.from('done');

const u32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export const encodeExit = (status: ExitStatus): Buffer => Buffer.from(JSON.stringify(status));

export class SessionStream extends Duplex {
  readonly id: number;
  /** Resolves with the status that the far side told, or with nothing when the stream is over without one. */
  readonly exit: Promise<ExitStatus | undefined>;
  /** What the far side says beside its data. */
  readonly diagnostics = new Readable({ read: () => this.#grant() });
  readonly #host: StreamHost;
  readonly #exited = Promise.withResolvers<ExitStatus | undefined>();
  #queue: Pending[] = [];
  #sendCredit = FIRST_CREDIT;
  /** What we are willing to hold, and how much of it the peer may still send. */
  #grantSize = FIRST_CREDIT;
  #outstanding = FIRST_CREDIT;
  #grantedAt = performance.now();
  #endSent = false;
  #endReceived = false;
  #isReset = false;
  /** Statuses that are still to be told, by us and by the far side: the stream is not over before. */
  #owesExit = false;
  #awaitsExit = false;

  constructor(id: number, host: StreamHost) {
    super({ allowHalfOpen: true, writableHighWaterMark: 4 * MAX_PAYLOAD });
    this.id = id;
    this.#host = host;
    this.exit = this.#exited.promise;
  }

  /** Standard error toward the far side. */
  sendDiagnostics(): Writable {
    return new Writable({ write: (chunk: Buffer, _encoding, done) => this.#enqueue(FRAME.STDERR, chunk, done) });
  }

  /** A status will come: from us, or from the far side. */
  promiseExit(by: 'us' | 'them'): void {
    if (by === 'us') this.#owesExit = true;
    else this.#awaitsExit = true;
  }

  /** How our side ended. Nothing more is read: what still comes is not wanted, and the far side is told so. */
  sendExit(status: ExitStatus): void {
    this.#enqueue(FRAME.EXIT, encodeExit(status), undefined);
    if (!this.#endReceived) this.#enqueue(FRAME.RESET, DONE, () => this.#finishQuietly());
  }

  #finishQuietly(): void {
    this.#isReset = true;
    this.#end();
    this.destroy();
  }

  // ---- toward the peer

  /** The next frame that may go out now, in turn with other streams; `undefined` if there is none, or no credit. */
  nextFrame(): OutgoingFrame | undefined {
    const [head] = this.#queue;
    if (head === undefined) return undefined;
    if (head.type !== FRAME.DATA && head.type !== FRAME.STDERR) return this.#shift(head, head.payload.length);
    const size = Math.min(head.payload.length, this.#sendCredit, MAX_PAYLOAD);
    if (size === 0 && head.payload.length > 0) return undefined;
    this.#sendCredit -= size;
    return this.#shift(head, size);
  }

  #shift(head: Pending, size: number): OutgoingFrame {
    const { type, payload } = head;
    if (size < payload.length) {
      head.payload = payload.subarray(size);
      return { type, payload: payload.subarray(0, size) };
    }
    this.#queue.shift();
    if (type === FRAME.END) this.#endSent = true;
    if (type === FRAME.EXIT) this.#owesExit = false;
    head.done?.();
    this.#checkFinished();
    return { type, payload };
  }

  #enqueue(type: FrameType, payload: Buffer, done: (() => void) | undefined): void {
    if (this.#isReset) return done?.();
    this.#queue.push({ type, payload, done });
    this.#host.ready(this);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#enqueue(FRAME.DATA, chunk, done);
  }

  override _final(done: () => void): void {
    this.#enqueue(FRAME.END, EMPTY, done);
  }

  /** Anything but both ends is a reset, and is told as one. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#isReset && !(this.#endSent && this.#endReceived)) {
      this.#host.control(FRAME.RESET, this.id, Buffer.from(error?.message ?? 'closed').subarray(0, 1024));
      this.#end();
    }
    done(error);
  }

  // ---- from the peer

  /** @throws ProtocolError for what a peer may not send now */
  receive(type: number, payload: Buffer): void {
    switch (type) {
      case FRAME.DATA:
        this.#assertOpen('data');
        this.#spend(payload.length);
        this.push(payload);
        return;
      case FRAME.STDERR:
        this.#spend(payload.length);
        this.diagnostics.push(payload);
        return;
      case FRAME.END:
        this.#assertOpen('an end');
        this.#endReceived = true;
        this.push(null);
        this.#checkFinished();
        return;
      case FRAME.EXIT:
        this.#exited.resolve(parseExit(payload));
        this.#awaitsExit = false;
        this.#checkFinished();
        return;
      case FRAME.CREDIT:
        this.#addCredit(payload);
        return;
      case FRAME.RESET:
        this.#receiveReset(payload);
        return;
      default:
        throw new ProtocolError(`a frame of type ${type} is not for a stream`);
    }
  }

  /** After the far side's end and status it only says that it reads no more; before them it is a cut. */
  #receiveReset(reason: Buffer): void {
    const isRoutine = this.#endReceived && !this.#awaitsExit;
    this.#isReset = true;
    this.#end();
    if (isRoutine && this.readableEnded) this.destroy();
    else if (isRoutine) this.once('end', () => this.destroy());
    else this.destroy(new Error(`reset by the far side: ${reason.toString()}`));
  }

  #assertOpen(what: string): void {
    if (this.#endReceived) throw new ProtocolError(`${what} after the end of stream ${this.id}`);
  }

  #spend(bytes: number): void {
    this.#outstanding -= bytes;
    if (this.#outstanding < 0)
      throw new ProtocolError(`stream ${this.id} sent ${-this.#outstanding} bytes more than it was granted`);
  }

  #addCredit(payload: Buffer): void {
    if (payload.length !== 4) throw new ProtocolError(`a credit of ${payload.length} bytes instead of 4`);
    this.#sendCredit += payload.readUInt32BE(0);
    if (this.#sendCredit > 2 * LARGEST_CREDIT)
      throw new ProtocolError(`stream ${this.id} was granted more than is allowed`);
    this.#host.ready(this);
  }

  override _read(): void {
    this.#grant();
  }

  /** Grants what has become free, once it is half of what we are willing to hold. */
  #grant(): void {
    if (this.#endReceived || this.#isReset) return;
    const held = this.readableLength + this.diagnostics.readableLength;
    if (this.#grantSize - this.#outstanding - held < this.#grantSize / 2) return;
    const now = performance.now();
    const roundTrip = this.#host.roundTrip();
    if (roundTrip !== undefined && now - this.#grantedAt < 2 * roundTrip) {
      this.#grantSize = Math.min(2 * this.#grantSize, LARGEST_CREDIT);
    }
    this.#grantedAt = now;
    const free = this.#grantSize - this.#outstanding - held;
    this.#outstanding += free;
    this.#host.control(FRAME.CREDIT, this.id, u32(free));
  }

  #checkFinished(): void {
    const isTold = !this.#owesExit && !this.#awaitsExit;
    if (this.#endSent && this.#endReceived && isTold && this.#queue.length === 0) this.#end();
  }

  #end(): void {
    const waiting = this.#queue;
    this.#queue = [];
    for (const { done } of waiting) done?.();
    this.diagnostics.push(null);
    this.#exited.resolve(undefined);
    this.#host.finished(this);
  }
}

function parseExit(payload: Buffer): ExitStatus {
  try {
    const status = JSON.parse(payload.toString()) as Partial<{ code: number; signal: NodeJS.Signals }>;
    if (typeof status.code === 'number') return { code: status.code };
    if (typeof status.signal === 'string') return { signal: status.signal };
  } catch (cause) {
    throw new ProtocolError('an exit status that cannot be read', { cause });
  }
  throw new ProtocolError('an exit status that is neither a code nor a signal');
}
