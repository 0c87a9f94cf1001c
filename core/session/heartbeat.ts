/**
 * Finds a dead peer: asks after silence, and also while data is unacknowledged, because TCP's own keepalive does not
 * look then. A peer that is heard, but acknowledges nothing and answers nothing, is as dead: our bytes do not arrive.
 */
export interface HeartbeatTimes {
  /** ms of silence, or without an acknowledgement that is due, after which the peer is asked. */
  readonly ask: number;
  /** ms without a byte, or without the acknowledgement, after which it is dead. */
  readonly dead: number;
}

export interface HeartbeatHost {
  ping(): void;
  /** Something that was sent has not been acknowledged. */
  isWaiting(): boolean;
  die(reason: Error): void;
}

export const HEARTBEAT: HeartbeatTimes = { ask: 15_000, dead: 45_000 };

export class Heartbeat {
  readonly #times: HeartbeatTimes;
  readonly #host: HeartbeatHost;
  #timer: NodeJS.Timeout | undefined;
  #lastReceived = 0;
  /** When the peer last acknowledged or answered, or had nothing to acknowledge. */
  #lastProgress = 0;
  /** When the unanswered ping was sent; 0 for none. */
  #pinged = 0;

  constructor(times: HeartbeatTimes, host: HeartbeatHost) {
    this.#times = times;
    this.#host = host;
  }

  /** For a new carrier. */
  start(): void {
    this.#lastReceived = this.#lastProgress = performance.now();
    this.#pinged = 0;
    this.#look();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  received(): void {
    this.#lastReceived = performance.now();
  }

  acknowledged(): void {
    this.#lastProgress = performance.now();
  }

  ponged(): void {
    const now = performance.now();
    this.#pinged = 0;
    this.#lastProgress = now;
  }

  #look(): void {
    clearTimeout(this.#timer);
    const { ask, dead } = this.#times;
    const now = performance.now();
    if (!this.#host.isWaiting() && this.#pinged === 0) this.#lastProgress = now;
    const silence = now - this.#lastReceived;
    const stuck = now - this.#lastProgress;
    if (silence >= dead) return this.#host.die(new Error(`no sign of life for ${dead / 1000} s`));
    if (stuck >= dead) return this.#host.die(new Error(`nothing was acknowledged for ${dead / 1000} s`));
    if (this.#pinged === 0 && (silence >= ask || stuck >= ask)) {
      this.#pinged = now;
      this.#host.ping();
    }
    this.#timer = setTimeout(() => this.#look(), Math.min(ask, dead) / 3).unref();
  }
}
