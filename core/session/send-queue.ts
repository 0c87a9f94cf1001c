/**
 * What one stream has to send, in its order: data, diagnostics, its end, how it ended. Pure. Frames are cut from it as
 * credit allows; small writes go together, so that a frame is not spent on each.
 */
import { FRAME, MAX_PAYLOAD, NOTHING, type FrameType } from './frames.ts';

export interface OutgoingFrame {
  readonly type: FrameType;
  readonly payload: Buffer;
}

interface Entry {
  readonly type: FrameType;
  payload: Buffer;
  readonly done: (() => void) | undefined;
}

/** Bytes below which a frame takes more writes in: copying so few costs less than a frame. */
const SMALL = 16 * 1024;

const needsCredit = (type: FrameType): boolean => type === FRAME.DATA || type === FRAME.STDERR;

export class SendQueue {
  #entries: Entry[] = [];
  /** Bytes that wait. */
  bytes = 0;

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** @param done called when the last byte of it is in a frame */
  push(type: FrameType, payload: Buffer = NOTHING, done?: () => void): void {
    this.#entries.push({ type, payload, done });
    this.bytes += payload.length;
  }

  /** The next frame, with at most `credit` bytes of data; `undefined` if there is none, or no credit for it. */
  next(credit: number): OutgoingFrame | undefined {
    const [head] = this.#entries;
    if (head === undefined) return undefined;
    if (!needsCredit(head.type)) return this.#take(head, head.payload.length);
    const most = Math.min(credit, MAX_PAYLOAD);
    if (most === 0) return undefined;
    const isSmall = head.payload.length < Math.min(SMALL, most) && this.#entries[1]?.type === head.type;
    return isSmall ? this.#takeSmall(head.type, most) : this.#take(head, Math.min(head.payload.length, most));
  }

  /** Everything that waits is given up. */
  clear(): void {
    const entries = this.#entries;
    this.#entries = [];
    this.bytes = 0;
    for (const { done } of entries) done?.();
  }

  #takeSmall(type: FrameType, most: number): OutgoingFrame {
    const pieces: Buffer[] = [];
    let size = 0;
    for (let head = this.#entries[0]; head?.type === type && size < Math.min(SMALL, most); [head] = this.#entries) {
      const { payload } = this.#take(head, Math.min(head.payload.length, most - size));
      pieces.push(payload);
      size += payload.length;
    }
    return { type, payload: Buffer.concat(pieces, size) };
  }

  #take(head: Entry, size: number): OutgoingFrame {
    const { type, payload } = head;
    this.bytes -= size;
    if (size < payload.length) {
      head.payload = payload.subarray(size);
      return { type, payload: payload.subarray(0, size) };
    }
    this.#entries.shift();
    head.done?.();
    return { type, payload };
  }
}
