/** One token bucket: whoever wants to send bytes is told how long to wait, in the order of asking. */
import { Transform, type TransformCallback } from 'node:stream';

/** ms of the rate that may go at once. */
const BURST = 50;
/** Bytes that leave together: small, so that many connections share a bucket evenly. */
const LARGEST_SLICE = 16 * 1024;

export class Bucket {
  readonly #rate: () => number;
  /** When all that was asked for so far has left. */
  #free = 0;

  /** @param rate bytes a second at this moment; Infinity for no limit */
  constructor(rate: () => number) {
    this.#rate = rate;
  }

  /** Bytes of the next slice. */
  get slice(): number {
    return Math.max(1, Math.min(LARGEST_SLICE, Math.floor((this.#rate() * BURST) / 1000)));
  }

  /** ms until so many bytes may leave; they count as sent. */
  take(bytes: number, now = performance.now()): number {
    this.#free = Math.max(this.#free, now - BURST) + (bytes / this.#rate()) * 1000;
    return Math.max(0, this.#free - now);
  }
}

/** Lets bytes through as the bucket allows it. */
export class Limiter extends Transform {
  readonly #bucket: Bucket;
  #timer: NodeJS.Timeout | undefined;

  constructor(bucket: Bucket) {
    super();
    this.#bucket = bucket;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#pass(chunk, done);
  }

  #pass(chunk: Buffer, done: TransformCallback): void {
    const slice = chunk.subarray(0, this.#bucket.slice);
    const send = (): void => {
      this.push(slice);
      if (slice.length === chunk.length) done();
      else this.#pass(chunk.subarray(slice.length), done);
    };
    const wait = this.#bucket.take(slice.length);
    if (wait < 1) send();
    else this.#timer = setTimeout(send, wait);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#timer);
    done(error);
  }
}
