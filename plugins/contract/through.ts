/** The stream of most layers: what is written passes one transform on its way down, what is read another on its way up. */
import { Duplex, type Transform } from 'node:stream';

/** The two transforms of a layer. Each is used for one connection, and destroyed with it. */
export interface Transforms {
  /** What is written to the layer goes in, and what goes down comes out. */
  readonly outgoing: Transform;
  /** What comes from below goes in, and what is read from the layer comes out. */
  readonly incoming: Transform;
}

/**
 * A stream whose bytes pass the transforms on their way to and from `below`, which it owns. Ends, cuts and backpressure are
 * kept, each direction by itself. An error of a transform (what came was damaged, or its end is missing) is a cut.
 */
export const through = (below: Duplex, transforms: Transforms): Duplex => new Through(below, transforms);

class Through extends Duplex {
  readonly #below: Duplex;
  readonly #outgoing: Transform;
  readonly #incoming: Transform;

  constructor(below: Duplex, { outgoing, incoming }: Transforms) {
    super({ autoDestroy: false }); // both directions may have ended and a command below still work: below decides
    this.#below = below;
    this.#outgoing = outgoing;
    this.#incoming = incoming;
    for (const stream of [below, outgoing, incoming]) stream.on('error', (error) => this.destroy(error));
    this.#carryUp();
    this.#carryDown();
    below.once('close', () => this.#afterBelow());
    if (below.closed) this.#afterBelow();
  }

  #carryUp(): void {
    const [below, incoming] = [this.#below, this.#incoming];
    below.on('data', (chunk) => {
      if (!incoming.write(chunk)) below.pause();
    });
    below.once('end', () => incoming.end());
    incoming.on('drain', () => below.resume());
    incoming.on('data', (chunk) => {
      if (!this.push(chunk)) incoming.pause();
    });
    incoming.once('end', () => this.push(null));
    below.resume(); // an accepted socket is paused
  }

  #carryDown(): void {
    const [below, outgoing] = [this.#below, this.#outgoing];
    outgoing.on('data', (chunk) => {
      if (below.writable && !below.write(chunk)) outgoing.pause();
    });
    below.on('drain', () => outgoing.resume());
    outgoing.once('end', () => below.writable && below.end());
  }

  /** Below has closed: what it had ended we let be read, anything else is a cut. */
  #afterBelow(): void {
    if (!this.#below.readableEnded) this.destroy(this.#below.errored ?? undefined);
    else if (this.readableEnded) this.destroy();
    else this.once('end', () => this.destroy());
  }

  override _read(): void {
    this.#incoming.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#outgoing.write(chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    const below = this.#below;
    if (below.writableFinished) return done();
    below.once('finish', done);
    this.#outgoing.end();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    for (const transform of [this.#outgoing, this.#incoming]) transform.destroy();
    const below = this.#below;
    if (below.closed) return done(error);
    below.once('close', () => done(error)); // whoever waits for our close waits for what is below, too
    below.destroy(error ?? undefined);
  }
}
