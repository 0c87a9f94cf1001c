/**
 * Memory for frames that are kept until they are acknowledged: header and payload side by side, so that a frame is one
 * write, in slabs that are used again. A stream at full rate would otherwise leave a gigabyte a second of small buffers to
 * the collector, which then takes a fifth of the processor.
 *
 * A slab is free when nobody holds any of its frames: neither the session, until the peer has acknowledged it, nor a carrier,
 * until it has let go of it. The peer's word alone is not enough, because it may acknowledge what the carrier still has to
 * send, and free slabs are shared by all sessions of the process. A session without traffic holds none.
 */
import { HEADER_BYTES, MAX_PAYLOAD, writeHeader, type FrameType } from './frames.ts';

/** Bytes: four of the largest frames. */
const SLAB = 4 * (HEADER_BYTES + MAX_PAYLOAD);
/** Bytes of a frame from which on it stands in a slab; smaller ones are cheap by themselves. */
const LARGE = 8 * 1024;
/** Free slabs that are kept: 16 MiB. */
const MOST_FREE = 64;

interface Slab {
  readonly bytes: Buffer;
  /** Bytes given out. */
  used: number;
  /** Holds on its frames that are not released. */
  holds: number;
}

/** A whole frame, and where its memory came from. */
export interface KeptFrame {
  readonly bytes: Buffer;
  readonly slab: Slab | undefined;
}

const free: Buffer[] = [];

export class FrameMemory {
  #current: Slab | undefined;

  /** Copies a frame together. */
  make(type: FrameType, stream: number, pieces: readonly Buffer[], length: number): KeptFrame {
    const { bytes, slab } = this.#room(HEADER_BYTES + length);
    writeHeader(bytes, type, stream, length);
    let at = HEADER_BYTES;
    for (const piece of pieces) at += piece.copy(bytes, at);
    return { bytes, slab };
  }

  /** One more has to release it. */
  hold({ slab }: KeptFrame): void {
    if (slab !== undefined) slab.holds += 1;
  }

  /** Whoever made it, or held it, reads it no more. */
  release({ slab }: KeptFrame): void {
    if (slab === undefined) return;
    slab.holds -= 1;
    if (slab.holds > 0) return;
    if (slab === this.#current) this.#current = undefined;
    if (free.length < MOST_FREE) free.push(slab.bytes);
  }

  #room(size: number): KeptFrame {
    if (size < LARGE) return { bytes: Buffer.allocUnsafe(size), slab: undefined };
    let slab = this.#current;
    if (slab === undefined || slab.used + size > SLAB)
      slab = this.#current = { bytes: free.pop() ?? Buffer.allocUnsafeSlow(SLAB), used: 0, holds: 0 };
    const bytes = slab.bytes.subarray(slab.used, slab.used + size);
    slab.used += size;
    slab.holds += 1;
    return { bytes, slab };
  }
}
