/** One token bucket: whoever wants to send bytes is told how long to wait, in the order of asking. */
import { Transform, type TransformCallback } from 'node:stream';

/** ms of the rate that may go at once. */
const BURST = 50;
/** Bytes that leave together: small, so that many connections share a bucket evenly. */
const LARGEST_SLICE = 16 * 1024;
/** ms after which whoever waits asks again: the rate may be another by then. */
const LONGEST_WAIT = 500;

/** What is owed is bytes, not time: at another rate it is another time. */
export class Bucket {
  readonly #rate: () => number;
  /** Bytes that were asked for so far, and that may have left by the last look. */
  #asked = 0;
  #allowed = 0;
  #looked = Number.NEGATIVE_INFINITY;

  /** @param rate bytes a second at this moment; Infinity for no limit */
  constructor(rate: () => number) {
    this.#rate = rate;
  }

  /** Bytes of the next slice. */
  get slice(): number {
    return Math.max(1, Math.min(LARGEST_SLICE, Math.floor((this.#rate() * BURST) / 1000)));
  }

  /** A place in the queue for so many bytes, for `wait`; they count as sent. */
  take(bytes: number, now = performance.now()): number {
    this.#look(now);
    this.#asked += bytes;
    return this.#asked;
  }

  /** ms until the bytes of that place may leave, at the rate of this moment. */
  wait(place: number, now = performance.now()): number {
    const rate = this.#look(now);
    return Math.max(0, (place - this.#allowed) / rate);
  }

  /** Lets go what the time since the last look allows. @returns bytes a ms */
  #look(now: number): number {
    const rate = this.#rate() / 1000;
    if (rate === Number.POSITIVE_INFINITY) this.#allowed = this.#asked;
    else this.#allowed = Math.min(this.#allowed + (now - this.#looked) * rate, this.#asked + BURST * rate);
    this.#looked = now;
    return rate;
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
    this.#when(this.#bucket.take(slice.length), () => {
      this.push(slice);
      if (slice.length === chunk.length) done();
      else this.#pass(chunk.subarray(slice.length), done);
    });
  }

  #when(place: number, send: () => void): void {
    const wait = this.#bucket.wait(place);
    if (wait < 1) send();
    else this.#timer = setTimeout(() => this.#when(place, send), Math.min(wait, LONGEST_WAIT));
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#timer);
    done(error);
  }
}
