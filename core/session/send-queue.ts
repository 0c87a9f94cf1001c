/**
 * What one stream has to send, in its order: data, diagnostics, its end, how it ended. Pure. Frames are cut from it as
 * credit allows, and filled from as many writes as there are, so that a frame is not spent on each.
 */
import { FRAME, DATA_PAYLOAD, NOTHING, type FrameType } from './frames.ts';

/** What was written has been taken; or has not, and why. */
export type Done = (error?: Error) => void;

export interface OutgoingFrame {
  readonly type: FrameType;
  /** The payload, as it was written. */
  readonly pieces: readonly Buffer[];
  readonly length: number;
  /** To be called when the pieces have been copied: the writes that end with this frame. */
  readonly done: readonly Done[];
}

interface Entry {
  readonly type: FrameType;
  payload: Buffer;
  readonly done: Done | undefined;
}

const needsCredit = (type: FrameType): boolean => type === FRAME.DATA || type === FRAME.STDERR;

export class SendQueue {
  #entries: Entry[] = [];
  /** Bytes that wait. */
  bytes = 0;

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** @param done handed on with the frame that has its last byte */
  push(type: FrameType, payload: Buffer = NOTHING, done?: Done): void {
    this.#entries.push({ type, payload, done });
    this.bytes += payload.length;
  }

  /** The next frame, with at most `credit` bytes of data; `undefined` if there is none, or no credit for it. */
  next(credit: number): OutgoingFrame | undefined {
    const [head] = this.#entries;
    if (head === undefined) return undefined;
    if (!needsCredit(head.type)) return this.#frame(head.type, head.payload.length);
    const most = Math.min(credit, DATA_PAYLOAD);
    if (most === 0) return undefined;
    return this.#frame(head.type, most);
  }

  /**
   * Everything that waits is given up.
   *
   * @param error what those who wrote it are told; nothing where nobody wants it any more
   */
  clear(error?: Error): void {
    const entries = this.#entries;
    this.#entries = [];
    this.bytes = 0;
    for (const { done } of entries) done?.(error);
  }

  /** At most so many bytes of what waits at the front, of one type. */
  #frame(type: FrameType, most: number): OutgoingFrame {
    const pieces: Buffer[] = [];
    const done: Done[] = [];
    let length = 0;
    do {
      const head = this.#entries[0] as Entry;
      const size = Math.min(head.payload.length, most - length);
      pieces.push(head.payload.subarray(0, size));
      length += size;
      if (size < head.payload.length) head.payload = head.payload.subarray(size);
      else {
        this.#entries.shift();
        if (head.done !== undefined) done.push(head.done);
      }
    } while (length < most && needsCredit(type) && this.#entries[0]?.type === type);
    this.bytes -= length;
    return { type, pieces, length, done };
  }
}
