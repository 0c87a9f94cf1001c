/**
 * What a session sends: control frames first, then streams in turns of at most 64 KiB, while the carrier takes bytes
 * and the window allows more. Every counted frame is kept until it is acknowledged, and sent again on the next carrier.
 */
import type { Duplex } from 'node:stream';
import { ProtocolError, encodeFrame, encodeHeader, type FrameType } from './frames.ts';
import { ReplayBuffer } from './replay.ts';
import type { SessionStream } from './stream.ts';
import { SendWindow } from './window.ts';

export class Outbox {
  readonly #replay = new ReplayBuffer();
  readonly #window = new SendWindow();
  /** Streams with something to send, in the order of their turns. */
  readonly #ready = new Set<SessionStream>();
  #control: Buffer[] = [];
  #carrier: Duplex | undefined;
  #acknowledged = 0;
  #isFlushing = false;

  /** Bytes kept for replay. */
  get unacknowledged(): number {
    return this.#replay.size;
  }

  /** ms, the least of late; `undefined` before the first measure. */
  get roundTrip(): number | undefined {
    return this.#window.roundTrip;
  }

  canResumeFrom(offset: number): boolean {
    return this.#replay.isBoundary(offset);
  }

  measured(roundTrip: number, now: number): void {
    this.#window.measured(roundTrip, now);
  }

  /** Goes on over this carrier: first what the peer has missed, nothing new before it. */
  attach(carrier: Duplex): void {
    this.#window.restart();
    for (const piece of this.#replay.pending()) carrier.write(piece);
    this.#carrier = carrier;
    carrier.on('drain', () => this.#flush());
    this.#flush();
  }

  detach(): void {
    this.#carrier = undefined;
  }

  /** Frees what the peer has processed; true if that is news. @throws ProtocolError for an offset that cannot be */
  acknowledge(offset: number): boolean {
    if (!this.#replay.acknowledge(offset)) throw new ProtocolError(`offset ${offset} cannot be acknowledged`);
    const isNews = offset > this.#acknowledged;
    this.#acknowledged = offset;
    this.#window.acknowledged(offset, performance.now());
    this.#flush();
    return isNews;
  }

  /** A stream has something to send. */
  ready(stream: SessionStream): void {
    this.#ready.add(stream);
    this.#flush();
  }

  forget(stream: SessionStream): void {
    this.#ready.delete(stream);
  }

  /** A counted frame that goes before any stream's. */
  control(type: FrameType, stream: number, payload: Buffer): void {
    this.#control.push(encodeFrame(type, stream, payload));
    this.#flush();
  }

  /** A frame that is not counted: for this carrier only, and lost with it. */
  now(type: FrameType, payload: Buffer, flags = 0): void {
    this.#carrier?.write(encodeFrame(type, 0, payload, flags));
  }

  /** Sending lets streams make more to send, which calls this again: only the outer call sends, so the order holds. */
  #flush(): void {
    const carrier = this.#carrier;
    if (carrier === undefined || this.#isFlushing || carrier.writableNeedDrain || !carrier.writable) return;
    this.#isFlushing = true;
    carrier.cork();
    while (carrier === this.#carrier && this.#sendNext(carrier));
    carrier.uncork();
    this.#isFlushing = false;
  }

  #sendNext(carrier: Duplex): boolean {
    const control = this.#control.shift();
    if (control === undefined) {
      return !carrier.writableNeedDrain && this.#replay.size < this.#window.size && this.#sendTurn(carrier);
    }
    this.#send(carrier, [control]);
    return true;
  }

  /** One frame of the stream whose turn it is; false if none has anything to send. */
  #sendTurn(carrier: Duplex): boolean {
    for (const stream of this.#ready) {
      this.#ready.delete(stream);
      const frame = stream.nextFrame();
      if (frame === undefined) continue;
      this.#ready.add(stream); // at the end of the row
      const header = encodeHeader(frame.type, stream.id, frame.payload.length);
      this.#send(carrier, frame.payload.length > 0 ? [header, frame.payload] : [header]);
      return true;
    }
    return false;
  }

  #send(carrier: Duplex, pieces: Buffer[]): void {
    this.#replay.append(pieces);
    for (const piece of pieces) carrier.write(piece);
    this.#window.sent(this.#replay.end, this.#acknowledged, performance.now());
  }
}
