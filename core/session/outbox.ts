/**
 * What a session sends, while the carrier takes bytes and the window allows more:
 *
 * 1. What belongs to this carrier alone, and is not counted: PING, the last acknowledgement, the answer to the last PING.
 *    However long the peer does not read, one of each waits at most.
 * 2. Control frames and credit (control-queue.ts).
 * 3. Streams, in turns of at most 64 KiB.
 *
 * Every counted frame is kept until it is acknowledged, and sent again on the next carrier.
 */
import type { Duplex } from 'node:stream';
import { letsGo } from '../lending.ts';
import { ControlQueue, MOST_CONTROL } from './control-queue.ts';
import { FrameMemory, type KeptFrame } from './frame-memory.ts';
import { FRAME, NOTHING, ProtocolError, encodeFrame, type FrameType } from './frames.ts';
import { ReplayBuffer } from './replay.ts';
import { RoundTripProbe } from './round-trip-probe.ts';
import type { SessionStream } from './stream.ts';
import { SendWindow } from './window.ts';

/** Bytes beyond the window that control frames may take, so that credit is not stopped by data that waits for it. */
const CONTROL_RESERVE = 256 * 1024;
/** Bytes that may wait in the carrier: what is there can neither be overtaken nor taken back. */
const CARRIER_AHEAD = 128 * 1024;
/**
 * The same, and the least window, where there is but one stream, behind whose data nobody waits: more in one go costs less, and neither end of the
 * path runs dry while the other's process does something else.
 */
const CARRIER_AHEAD_ALONE = 512 * 1024;
const WINDOW_ALONE = 2 * 1024 * 1024;

/** Frames of one carrier, of which only the newest counts. */
type Latest = typeof FRAME.PING | typeof FRAME.ACK | typeof FRAME.PONG;

export class Outbox {
  readonly #isAlone: () => boolean;
  readonly #memory = new FrameMemory();
  readonly #replay = new ReplayBuffer((frame) => this.#memory.release(frame));
  readonly #window = new SendWindow();
  readonly #control = new ControlQueue();
  /** Streams with something to send, in the order of their turns. */
  readonly #ready = new Set<SessionStream>();
  readonly #latest = new Map<Latest, Buffer>();
  readonly #probe = new RoundTripProbe(() => this.latest(FRAME.PING, NOTHING));
  #carrier: Duplex | undefined;
  #acknowledged = 0;
  #isFlushing = false;
  /** Frames are written as they are kept, not as copies: their memory is used again when the far side has them and the carrier lets go. */
  #lends = false;

  /** @param isAlone whether there is at most one stream */
  constructor(isAlone: () => boolean) {
    this.#isAlone = isAlone;
  }

  /** Bytes kept for replay. */
  get unacknowledged(): number {
    return this.#replay.size;
  }

  /** Offset after the last byte sent, and of what the peer has acknowledged. */
  get end(): number {
    return this.#replay.end;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Memory of what is kept for replay, and of control frames that wait. */
  get cost(): number {
    return this.#replay.cost + this.#control.cost;
  }

  /** Bytes that may be unacknowledged now. */
  get window(): number {
    return this.#isAlone() ? Math.max(this.#window.size, WINDOW_ALONE) : this.#window.size;
  }

  /** The peer has everything, as far as it is not data of a stream. */
  get isSettled(): boolean {
    return !this.#isFlushing && this.#replay.size === 0 && this.#control.isEmpty;
  }

  /** ms, the least of late; `undefined` before the first measure. */
  get roundTrip(): number | undefined {
    return this.#window.roundTrip;
  }

  canResumeFrom(offset: number): boolean {
    return this.#replay.isBoundary(offset);
  }

  /** Asks the far side for a sign of life. */
  ask(): void {
    this.#probe.ask(performance.now());
  }

  /** A PING was answered. */
  ponged(): void {
    const now = performance.now();
    const measured = this.#probe.answered(now);
    if (measured?.wasEmpty === true) this.#window.measured(measured.roundTrip, now);
    else if (measured !== undefined) this.#window.seen(measured.roundTrip, now);
    this.#flush();
  }

  /** Goes on over this carrier: first what the peer has missed, nothing new before it. */
  attach(carrier: Duplex): void {
    this.#window.restart();
    this.#probe.stop();
    this.#latest.clear();
    this.#lends = letsGo(carrier);
    for (const frame of this.#replay.pending()) this.#write(carrier, frame);
    this.#carrier = carrier;
    carrier.on('drain', () => this.#flush());
    this.ask(); // before data makes it longer
  }

  detach(): void {
    this.#carrier = undefined;
  }

  /** Frees what the peer has processed; true if that is news. @throws ProtocolError for an offset that cannot be */
  acknowledge(offset: number): boolean {
    if (!this.#replay.acknowledge(offset)) throw new ProtocolError(`offset ${offset} cannot be acknowledged`);
    const isNews = offset > this.#acknowledged;
    this.#acknowledged = offset;
    const isOld = this.#window.acknowledged(offset, performance.now());
    if (isOld) this.#probe.empty();
    this.#flush();
    return isNews;
  }

  /** A stream has something to send. */
  ready(stream: SessionStream): void {
    this.#ready.add(stream);
    this.#flush();
  }

  /** A stream has credit to give. */
  grant(stream: SessionStream): void {
    this.#control.grant(stream);
    this.#flush();
  }

  forget(stream: SessionStream): void {
    this.#ready.delete(stream);
    this.#control.forget(stream);
  }

  /** A counted frame that goes before any stream's. False if too many wait: the peer does not read. */
  control(type: FrameType, stream: number, payload: Buffer): boolean {
    this.#control.push(type, stream, payload);
    this.#flush();
    return this.#control.cost <= MOST_CONTROL;
  }

  /** A frame that is not counted: for this carrier only, and lost with it. It takes the place of one that still waits. */
  latest(type: Latest, payload: Buffer): void {
    if (this.#carrier === undefined) return;
    this.#latest.set(type, payload);
    this.#flush();
  }

  /** One of the last frames on this carrier, whatever waits. */
  last(type: FrameType, payload: Buffer, flags = 0): void {
    this.#carrier?.write(encodeFrame(type, 0, payload, flags));
  }

  /** Sending lets streams make more to send, which calls this again: only the outer call sends, so the order holds. */
  #flush(): void {
    const carrier = this.#carrier;
    if (carrier === undefined || this.#isFlushing || !carrier.writable) return;
    this.#isFlushing = true;
    carrier.cork();
    while (carrier === this.#carrier && this.#hasRoom(carrier) && this.#sendNext(carrier));
    carrier.uncork();
    this.#isFlushing = false;
  }

  /** Where this is false, the carrier will say `drain`. */
  #hasRoom(carrier: Duplex): boolean {
    const most = this.#isAlone() ? CARRIER_AHEAD_ALONE : CARRIER_AHEAD;
    return !carrier.writableNeedDrain || carrier.writableLength < most;
  }

  #sendNext(carrier: Duplex): boolean {
    return this.#sendLatest(carrier) || this.#sendControl(carrier) || this.#sendTurn(carrier);
  }

  #sendLatest(carrier: Duplex): boolean {
    for (const [type, payload] of this.#latest) {
      this.#latest.delete(type);
      carrier.write(encodeFrame(type, 0, payload));
      return true;
    }
    return false;
  }

  #sendControl(carrier: Duplex): boolean {
    if (this.#replay.cost >= this.window + CONTROL_RESERVE) return false;
    const frame = this.#control.next();
    if (frame === undefined) return false;
    this.#send(carrier, { bytes: frame, slab: undefined });
    return true;
  }

  /** One frame of the stream whose turn it is; false if none has anything to send. */
  #sendTurn(carrier: Duplex): boolean {
    if (this.#probe.isHolding) return false;
    if (this.#ready.size > 0 && this.#replay.cost >= this.window) {
      this.#window.blocked();
      return false;
    }
    for (const stream of this.#ready) {
      this.#ready.delete(stream);
      const frame = stream.nextFrame();
      if (frame === undefined) continue;
      this.#ready.add(stream); // at the end of the row
      this.#send(carrier, this.#memory.make(frame.type, stream.id, frame.pieces, frame.length));
      for (const done of frame.done) done(); // not before: whoever wrote may use the bytes for something else now
      return true;
    }
    return false;
  }

  #write(carrier: Duplex, frame: KeptFrame): void {
    if (frame.slab === undefined) carrier.write(frame.bytes);
    else if (!this.#lends) carrier.write(Buffer.from(frame.bytes));
    else {
      this.#memory.hold(frame);
      carrier.write(frame.bytes, () => this.#memory.release(frame));
    }
  }

  #send(carrier: Duplex, frame: KeptFrame): void {
    this.#replay.append(frame);
    this.#write(carrier, frame);
    this.#window.sent(this.#replay.end, this.#acknowledged, performance.now());
  }
}
