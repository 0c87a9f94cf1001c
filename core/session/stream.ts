/**
 * A stream: one connection inside a session. Data both ways with an end of its own for each direction, diagnostics and
 * an exit status beside it, and a reset that can never be taken for an end.
 *
 * What happens, in order:
 * 1. What is written waits in the queue (send-queue.ts) until the session takes frames from it, in turn with others.
 *    There they are copied: what was written may be used again then, and the frame is kept until it is acknowledged.
 * 2. What arrives is pushed at once; credit (credit.ts) bounds what nobody reads.
 * 3. The stream is over when both ends have passed and every promised status is told; then it closes by itself.
 * 4. Anything else is a reset: by the far side, by `destroy`, or because the session is over. It closes with an error,
 *    unless the far side had said all it promised; then it only wants nothing more from us.
 *
 * Flow control is by credit, in bytes. Diagnostics use the same credit as data.
 */
import { Duplex, Readable, Writable } from 'node:stream';
import type { GiveBack } from '../lending.ts';
import { Allowance, Grant, type GrowthBudget } from './credit.ts';
import { encodeExit, parseExit } from './exit-status.ts';
import {
  FRAME,
  MAX_PAYLOAD,
  ProtocolError,
  decodeReason,
  encodeReason,
  encodeRoot,
  frameName,
  readU32,
} from './frames.ts';
import { SMALL, SmallFrames, keepable } from './small-frames.ts';
import { SendQueue, type Done, type OutgoingFrame } from './send-queue.ts';
import type { Frame, FrameType } from './frames.ts';
import type { ExitStatus, LendingStream, ReleasingStream } from '../../plugins/contract/index.ts';

export { FIRST_CREDIT, LARGEST_CREDIT } from './credit.ts';

/** What a stream needs of its session. */
export interface StreamHost {
  readonly budget: GrowthBudget;
  /** The stream has something to send. */
  ready(stream: SessionStream): void;
  /** The stream has credit to give: it is asked by `takeCredit` when there is room for it. */
  grant(stream: SessionStream): void;
  /** Sends before any data. */
  control(type: FrameType, stream: number, payload: Buffer): void;
  /** The stream is over in both directions, or was reset; its number is free. */
  finished(stream: SessionStream): void;
  /** ms; `undefined` while unknown. */
  roundTrip(): number | undefined;
  /** Nobody reads these bytes of a carrier any more. */
  readonly giveBack: GiveBack;
}

/** The reason of a reset after the last word: the reader has all it will get, and wants no more. */
const DONE = encodeReason('done');

export class SessionStream extends Duplex implements ReleasingStream, LendingStream {
  /** A write calls back when its last byte has been copied into a frame. */
  readonly releasesChunks = true;
  readonly id: number;
  readonly #isTheirs: boolean;
  readonly #host: StreamHost;
  readonly #queue = new SendQueue();
  readonly #allowance = new Allowance();
  readonly #grant: Grant;
  readonly #exited = Promise.withResolvers<ExitStatus | undefined>();
  readonly #delivered = Promise.withResolvers<boolean>();
  /** Made when somebody uses it: most streams have none. */
  #diagnostics: Readable | undefined;
  #said: SmallFrames | undefined;
  readonly #data: SmallFrames;
  #endQueued = false;
  #endSent = false;
  #endReceived = false;
  #isOver = false;
  /** Statuses that are still to be told, by us and by the far side: the stream is not over before. */
  #owesExit = false;
  #awaitsExit = false;
  /** Our last word is in the queue: it goes out even if our side closes before. */
  #isLeaving = false;

  /** @param isTheirs the far side has opened it */
  constructor(id: number, isTheirs: boolean, host: StreamHost) {
    super({ allowHalfOpen: true, autoDestroy: false, writableHighWaterMark: 4 * MAX_PAYLOAD });
    this.id = id;
    this.#isTheirs = isTheirs;
    this.#host = host;
    this.#grant = new Grant(host.budget);
    this.#data = new SmallFrames(this, host.giveBack);
    this.once('end', () => this.#closeIfOver());
    this.once('finish', () => this.#closeIfOver());
  }

  /** Resolves with the status that the far side told, or with nothing when the stream is over without one. */
  get exit(): Promise<ExitStatus | undefined> {
    return this.#exited.promise;
  }

  /** Resolves when the far side has acknowledged all that it wanted of us, or with false if that was lost; never rejects. */
  get delivered(): Promise<boolean> {
    return this.#delivered.promise;
  }

  /** What the far side says beside its data. */
  get diagnostics(): Readable {
    if (this.#diagnostics === undefined) {
      const diagnostics = new Readable({ read: () => this.#grantMore() });
      const { read } = diagnostics;
      diagnostics.read = (size) => {
        this.#said?.flush();
        return read.call(diagnostics, size) as unknown;
      };
      this.#diagnostics = diagnostics;
      this.#said = new SmallFrames(diagnostics, this.#host.giveBack);
      if (this.#isOver) this.#diagnostics.push(null);
    }
    return this.#diagnostics;
  }

  /** Nothing to be done: the session has asked its carrier. */
  lend(): void {}

  giveBack(bytes: Buffer): void {
    this.#host.giveBack(bytes);
  }

  /** Bytes that this side holds for it. */
  get held(): number {
    return this.#unread + Math.max(this.writableLength, this.#queue.bytes); // what is queued is not yet written
  }

  /** Diagnostics toward the far side. */
  sendDiagnostics(): Writable {
    const diagnostics = new Writable({
      write: (chunk: Buffer, _encoding, done) => this.#enqueue(FRAME.STDERR, chunk, done),
    });
    return diagnostics.on('error', () => {}); // it ends with the stream, which tells why
  }

  /** A status will come: from us, or from the far side. */
  promiseExit(by: 'us' | 'them'): void {
    if (by === 'us') this.#owesExit = true;
    else this.#awaitsExit = true;
  }

  /**
   * How our side ended; to be called when our data and its end have gone (`finish`). Nothing more is read: what still
   * comes is not wanted, and the far side is told so.
   */
  sendExit(status: ExitStatus): void {
    this.#isLeaving = true;
    this.#enqueue(FRAME.EXIT, encodeExit(status), () => {
      this.#owesExit = false;
      this.#finishIfDone();
    });
    if (!this.#endReceived) this.#enqueue(FRAME.RESET, DONE, () => this.#leave());
  }

  // ---- toward the peer

  /** The next frame that may go out now; `undefined` if there is none, or no credit. */
  nextFrame(): OutgoingFrame | undefined {
    const frame = this.#queue.next(this.#allowance.left);
    if (frame?.type === FRAME.DATA || frame?.type === FRAME.STDERR) this.#allowance.left -= frame.length;
    return frame;
  }

  /** Bytes that the peer may send from now on, beside what it may already; 0 for none. */
  takeCredit(): number {
    if (this.#endReceived || this.#isOver || !this.#grant.isDue(this.#unread)) return 0;
    return this.#grant.renew(this.#unread, performance.now(), this.#host.roundTrip());
  }

  #enqueue(type: FrameType, payload: Buffer | undefined, done: Done): void {
    if (this.#isOver) return done(this.errored ?? undefined);
    this.#queue.push(type, payload, done);
    this.#host.ready(this);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#enqueue(FRAME.DATA, chunk, done);
  }

  override _writev(writes: readonly { chunk: Buffer }[], done: Done): void {
    if (this.#isOver) return done(this.errored ?? undefined);
    for (const [at, { chunk }] of writes.entries())
      this.#queue.push(FRAME.DATA, chunk, at === writes.length - 1 ? done : undefined);
    this.#host.ready(this);
  }

  override _final(done: Done): void {
    this.#endQueued = true;
    this.#enqueue(FRAME.END, undefined, (error) => {
      this.#endSent = error === undefined;
      done(error);
      this.#finishIfDone();
    });
  }

  /** Anything but the end of all is a reset, and is told as one. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const isLeaving = this.#isLeaving && this.#endQueued && error === null;
    if (!this.#isOver && !isLeaving) {
      this.#host.control(FRAME.RESET, this.id, encodeRoot(error?.message ?? 'closed'));
      this.#finish(error ?? new Error('the stream was closed'));
    }
    done(error);
  }

  // ---- from the peer

  /** @throws ProtocolError for what a peer may not send now */
  receive(frame: Frame): void {
    const { type } = frame;
    if (type === FRAME.DATA) return this.#receiveData(frame);
    if (type === FRAME.STDERR) return this.#receiveDiagnostics(frame);
    if (type === FRAME.END) return this.#receiveEnd(frame);
    if (type === FRAME.EXIT) return this.#receiveExit(frame.payload);
    if (type === FRAME.CREDIT) return this.#receiveCredit(frame.payload);
    if (type === FRAME.RESET) return this.#receiveReset(decodeReason(frame.payload));
    throw new ProtocolError(`${frameName(type)} is not for a stream`);
  }

  /** It is cut: there is no session any more, or the far side never took it. */
  reset(reason: string): void {
    const error = new Error(reason);
    this.#finish(error);
    this.destroy(error);
  }

  /**
   * From the side that serves, after its end and status, it only says that it reads no more. Before them it is a cut, and
   * so it is always from the side that asked: whoever asked for something does not say that it has had enough by an end.
   */
  #receiveReset(reason: string): void {
    if (this.#isTheirs || !this.#endReceived || this.#awaitsExit) return this.reset(`reset by the far side: ${reason}`);
    this.#finish();
    if (this.readableEnded) this.destroy();
    else this.once('end', () => this.destroy());
  }

  #receiveData(frame: Frame): void {
    const { length } = frame;
    if (this.#endReceived) throw new ProtocolError('data after the end');
    this.#grant.spend(length);
    if (length < SMALL) return this.#data.add(frame);
    this.#data.flush();
    for (const piece of frame.pieces) this.push(keepable(piece, this, this.#host.giveBack));
  }

  #receiveDiagnostics(frame: Frame): void {
    this.#grant.spend(frame.length);
    if (this.destroyed) return;
    const { diagnostics } = this;
    if (frame.length < SMALL) return this.#said?.add(frame);
    this.#said?.flush();
    for (const piece of frame.pieces) diagnostics.push(keepable(piece, diagnostics, this.#host.giveBack));
  }

  #receiveEnd({ length }: Frame): void {
    if (length > 0) throw new ProtocolError('an end with bytes in it');
    if (this.#endReceived) throw new ProtocolError('a second end');
    this.#endReceived = true;
    this.#data.flush();
    this.push(null);
    this.#finishIfDone();
  }

  #receiveExit(payload: Buffer): void {
    this.#exited.resolve(parseExit(payload));
    this.#awaitsExit = false;
    this.#finishIfDone();
  }

  #receiveCredit(payload: Buffer): void {
    this.#allowance.add(readU32(payload));
    this.#host.ready(this);
  }

  /** Whoever reads, reads what waits: Readable asks for more (`_read`) only once, and not again before something was pushed. */
  override read(size?: number): unknown {
    this.#data.flush();
    return super.read(size);
  }

  override _read(): void {
    this.#grantMore();
  }

  get #unread(): number {
    return this.readableLength + this.#data.size + (this.#diagnostics?.readableLength ?? 0) + (this.#said?.size ?? 0);
  }

  #grantMore(): void {
    if (!this.#endReceived && !this.#isOver && this.#grant.isDue(this.#unread)) this.#host.grant(this);
  }

  // ---- the end

  #finishIfDone(): void {
    const isTold = !this.#owesExit && !this.#awaitsExit;
    if (this.#endSent && this.#endReceived && isTold && this.#queue.isEmpty) this.#finish();
    this.#closeIfOver();
  }

  /** The far side has our status, and wants nothing from us: what it still sends finds no stream. */
  #leave(): void {
    this.#finish();
    this.destroy();
  }

  /** @param error what is still to be sent is lost by it; nothing where the far side does not want it */
  #finish(error?: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (error !== undefined) this.settle(false);
    this.#queue.clear(error);
    this.#grant.release();
    this.#said?.flush();
    this.#diagnostics?.push(null);
    this.#exited.resolve(undefined);
    this.#host.finished(this);
  }

  /** Whether what was sent has been delivered; the first word counts. */
  settle(isDelivered: boolean): void {
    this.#delivered.resolve(isDelivered);
  }

  /** A stream that is over closes when its user has seen the end of both directions. */
  #closeIfOver(): void {
    if (this.#isOver && this.readableEnded && this.writableFinished) this.destroy();
  }
}
