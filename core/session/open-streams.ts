/**
 * The streams of a session that are not over: those that we opened, with who waits for the answer, and those that the
 * far side opened. Numbers are never used twice; what arrives for a stream that is over is ignored, and what arrives for
 * one that never was breaks the protocol.
 */
import { AttachedClock } from './attached-clock.ts';
import { FRAME, ProtocolError, decodeReason, type Frame } from './frames.ts';
import { RefusedError, parseOpened, type Opened } from './open-request.ts';
import { SessionStream, type StreamHost } from './stream.ts';

const LARGEST_ID = 2 ** 32 - 1;

export interface OpenStreamsOptions {
  /** The dialing side numbers its streams odd, the other even. */
  readonly side: 'dialer' | 'listener';
  /** ms that an OPEN may stay unanswered while there is a carrier. */
  readonly openDeadline: number;
  readonly host: StreamHost;
}

export class OpenStreams {
  readonly #host: StreamHost;
  readonly #streams = new Map<number, SessionStream>();
  readonly #answers = new Map<number, PromiseWithResolvers<Opened>>();
  readonly #unanswered: AttachedClock<number>;
  #nextOurs: number;
  #lastTheirs = 0;
  /** Of the far side's. */
  #theirs = 0;

  constructor({ side, openDeadline, host }: OpenStreamsOptions) {
    this.#host = host;
    this.#nextOurs = side === 'dialer' ? 1 : 2;
    this.#unanswered = new AttachedClock(openDeadline, (id) => this.#giveUp(id, openDeadline));
  }

  get size(): number {
    return this.#streams.size;
  }

  has(id: number): boolean {
    return this.#streams.has(id);
  }

  /** How many of them the far side has opened. */
  get theirs(): number {
    return this.#theirs;
  }

  /** Bytes that they hold on this side. */
  get held(): number {
    let sum = 0;
    for (const { held } of this.#streams.values()) sum += held;
    return sum;
  }

  /** @throws RangeError when the numbers are used up */
  openOurs(): { stream: SessionStream; opened: Promise<Opened> } {
    const id = this.#nextOurs;
    if (id > LARGEST_ID) throw new RangeError('the session has no number for another stream');
    this.#nextOurs += 2;
    const answer = Promise.withResolvers<Opened>();
    answer.promise.catch(() => {}); // whoever does not wait for it sees the stream break
    this.#answers.set(id, answer);
    this.#unanswered.add(id);
    return { stream: this.#add(id), opened: answer.promise };
  }

  /** @throws ProtocolError for a number that is not theirs to give, or has been given */
  openTheirs(id: number): SessionStream {
    this.takeTheirs(id);
    this.#theirs += 1;
    return this.#add(id);
  }

  /** Uses a number up. @throws ProtocolError as `openTheirs` */
  takeTheirs(id: number): void {
    if (this.#isOurs(id) || id <= this.#lastTheirs) throw new ProtocolError('a number that it cannot open now');
    this.#lastTheirs = id;
  }

  forget(stream: SessionStream): void {
    const { id } = stream;
    if (!this.#streams.delete(id)) return;
    if (!this.#isOurs(id)) this.#theirs -= 1;
    this.#settle(id)?.reject(new Error('the stream was closed before it was answered'));
  }

  /** @throws ProtocolError */
  receive(frame: Frame): void {
    const { type, stream: id } = frame;
    const isOurs = this.#isOurs(id);
    if (id === 0 || (isOurs ? id >= this.#nextOurs : id > this.#lastTheirs))
      throw new ProtocolError('there never was such a stream');
    if (type !== FRAME.OPENED && type !== FRAME.REFUSED) return this.#streams.get(id)?.receive(frame);
    if (!isOurs) throw new ProtocolError('an answer to nobody');
    if (type === FRAME.OPENED) this.#onOpened(id, parseOpened(frame.payload));
    else this.#onRefused(id, decodeReason(frame.payload));
  }

  attach(): void {
    this.#unanswered.attach();
  }

  detach(): void {
    this.#unanswered.detach();
  }

  /** All of them are over. */
  resetAll(reason: string): void {
    this.#unanswered.detach();
    for (const stream of this.#streams.values()) stream.reset(reason);
  }

  #isOurs(id: number): boolean {
    return id % 2 === this.#nextOurs % 2;
  }

  #add(id: number): SessionStream {
    const stream = new SessionStream(id, !this.#isOurs(id), this.#host);
    stream.on('error', ignore); // who uses it listens too; a reset nobody waits for must not end the process
    this.#streams.set(id, stream);
    return stream;
  }

  /** Whoever waits for the answer, for the last time. */
  #settle(id: number): PromiseWithResolvers<Opened> | undefined {
    const answer = this.#answers.get(id);
    this.#answers.delete(id);
    this.#unanswered.delete(id);
    return answer;
  }

  #onOpened(id: number, opened: Opened): void {
    const answer = this.#settle(id);
    if (answer === undefined) return;
    if (opened.exit) this.#streams.get(id)?.promiseExit('them');
    answer.resolve(opened);
  }

  #onRefused(id: number, reason: string): void {
    this.#settle(id)?.reject(new RefusedError(reason));
    this.#streams.get(id)?.reset(reason);
  }

  #giveUp(id: number, milliseconds: number): void {
    const reason = new Error(`the far side did not answer within ${milliseconds / 1000} s`);
    this.#settle(id)?.reject(reason);
    this.#streams.get(id)?.destroy(reason);
  }
}

const ignore = (): void => {};
