/**
 * A session: many streams over one carrier after another. It knows carriers as Duplex streams and nothing of transports.
 *
 * What happens, in order:
 * 1. The handshake (handshake.ts) has proved who is there; `attach` gives the carrier, and the offset that the peer has
 *    processed. What it has not is sent again first.
 * 2. What arrives becomes frames (inbox.ts) and goes to the streams (open-streams.ts); what they send takes turns
 *    (outbox.ts), while the carrier takes bytes and the window allows more.
 * 3. Every counted frame that was processed is acknowledged (receipts.ts); an acknowledgement frees what is kept for replay.
 * 4. A carrier that ends or breaks detaches the session: streams stall and notice nothing. Whoever owns the session
 *    attaches another, or ends it; then every stream is reset.
 * 5. `drain` takes no new streams, lets the running ones finish, waits until the peer has everything, and ends it cleanly.
 *
 * Memory is bounded whatever the peer does: a stream by its credit, what is unacknowledged by the window, control frames
 * and the number of streams by limits. What breaks the protocol ends this session, and says at which byte.
 */
import type { Duplex } from 'node:stream';
import type { LendingStream } from '../../plugins/contract/index.ts';
import { lenderOf, type GiveBack } from '../lending.ts';
import { listen, sayFarewell } from './carrier.ts';
import { GrowthBudget } from './credit.ts';
import { Deliveries } from './deliveries.ts';
import { FRAME, NOTHING, OVER, encodeReason, u64, type FrameType } from './frames.ts';
import { HEARTBEAT, Heartbeat } from './heartbeat.ts';
import { Inbox, type InboxHost } from './inbox.ts';
import { encodeRequest } from './open-request.ts';
import { OpenStreams } from './open-streams.ts';
import { Outbox } from './outbox.ts';
import { Receipts } from './receipts.ts';
import { Reception } from './reception.ts';
import type { OpenRequest, Opened, SessionOptions } from './session-options.ts';
import type { SessionStream, StreamHost } from './stream.ts';

export type { OpenAnswer, OpenRequest, Opened, SessionLimits, SessionOptions } from './session-options.ts';

export class Session {
  /** Resolves when it is over and its last carrier has taken, or refused for a second, what was still to be said. */
  readonly closed: Promise<void>;
  readonly #options: SessionOptions;
  readonly #closed = Promise.withResolvers<void>();
  readonly #streams: OpenStreams;
  readonly #reception: Reception;
  readonly #outbox = new Outbox(() => this.#streams.size <= 1);
  readonly #receipts = new Receipts((processed) => this.#outbox.latest(FRAME.ACK, u64(processed)));
  readonly #deliveries = new Deliveries();
  readonly #heartbeat: Heartbeat;
  readonly #inboxHost: InboxHost = {
    acknowledged: (offset) => this.#acceptAck(offset),
    ping: (payload) => this.#outbox.latest(FRAME.PONG, payload),
    pong: () => {
      this.#heartbeat.ponged();
      this.#outbox.ponged();
    },
    opened: (frame) => this.#reception.receive(frame, this.#draining),
    stream: (frame) => this.#streams.receive(frame),
    goaway: (isOver, reason) => this.#onGoaway(isOver, reason),
    count: (bytes) => this.#count(bytes),
  };
  /** The carrier, or the last one, if it takes memory back. */
  #lender: LendingStream | undefined;
  readonly #giveBack: GiveBack = (bytes) => this.#lender?.giveBack(bytes);
  #inbox = new Inbox(this.#inboxHost, this.#giveBack);
  #carrier: Duplex | undefined;
  #draining = false;
  #idleSince: number | undefined;
  #ended = false;
  #isReading = false;
  readonly #watchers = new Set<() => void>();

  constructor(options: SessionOptions) {
    this.#options = options;
    this.closed = this.#closed.promise;
    const { side, openDeadline = 30_000, heartbeat = HEARTBEAT } = options;
    this.#heartbeat = new Heartbeat(heartbeat, {
      ping: () => this.#outbox.ask(),
      isWaiting: () => this.#outbox.unacknowledged > 0,
      die: (reason) => this.#lose(this.#carrier, reason),
    });
    const host: StreamHost = {
      budget: new GrowthBudget(),
      ready: (stream: SessionStream) => this.#outbox.ready(stream),
      grant: (stream: SessionStream) => this.#outbox.grant(stream),
      control: (type: FrameType, stream: number, payload: Buffer) => this.#control(type, stream, payload),
      finished: (stream: SessionStream) => this.#forget(stream),
      roundTrip: () => this.#outbox.roundTrip,
      giveBack: this.#giveBack,
    };
    this.#streams = new OpenStreams({ side, openDeadline, host });
    const control = host.control;
    this.#reception = new Reception({ streams: this.#streams, control, ...options });
  }

  /** Bytes of counted frames that we have processed: what a resume tells the peer. */
  get processed(): number {
    return this.#receipts.processed;
  }

  /** Bytes kept for replay. */
  get unacknowledged(): number {
    return this.#outbox.unacknowledged;
  }

  /** Bytes that may be kept for replay now: what bounds them, and grows with the path. */
  get window(): number {
    return this.#outbox.window;
  }

  /** Memory that it takes: what is kept for replay, and what its streams have not sent or nobody has read. */
  get held(): number {
    return this.#outbox.cost + this.#streams.held;
  }

  get streams(): number {
    return this.#streams.size;
  }

  get isAttached(): boolean {
    return this.#carrier !== undefined;
  }

  /** One of the two sides wants no new streams. */
  get isDraining(): boolean {
    return this.#draining;
  }

  /** Takes new streams: attached, not draining, not over. */
  get isOpen(): boolean {
    return this.isAttached && !this.#draining;
  }

  get isOver(): boolean {
    return this.#ended;
  }

  /** Calls back after each change of `isAttached`, `isDraining` and `isOver`, until it is over. */
  watch(changed: () => void): void {
    this.#watchers.add(changed);
  }

  /** Since when it is draining and has no stream: only the peer's last acknowledgement is missing. */
  get idleSince(): number | undefined {
    return this.#idleSince;
  }

  /** ms, the least of late. */
  get roundTrip(): number | undefined {
    return this.#outbox.roundTrip;
  }

  /** Whether the peer can have processed just so much: a resume with any other offset is refused. */
  canResumeFrom(offset: number): boolean {
    return this.#outbox.canResumeFrom(offset);
  }

  /**
   * Goes on over this carrier, which the session owns from now on. An old one is let go without a word.
   *
   * @param peerProcessed bytes that the peer has processed, which `canResumeFrom` has approved
   * @param early bytes of the carrier that were read with the handshake and belong to us
   */
  attach(carrier: Duplex, peerProcessed: number, early: Buffer = NOTHING): void {
    this.release();
    if (this.#ended) return void carrier.destroy();
    this.#carrier = carrier;
    this.#lender = lenderOf(carrier);
    this.#lender?.lend();
    this.#inbox = new Inbox(this.#inboxHost, this.#giveBack);
    this.#acknowledged(peerProcessed);
    listen(carrier, {
      read: (chunk) => this.#read(carrier, chunk),
      lost: (reason) => this.#lose(carrier, reason),
    });
    this.#heartbeat.start();
    this.#streams.attach();
    this.#outbox.attach(carrier);
    if (early.length > 0) this.#read(carrier, early);
    carrier.resume(); // the handshake has paused it
    this.#endIfDrained();
    this.#changed();
  }

  /** Lets the carrier go: the far side has proved that it comes back on another, and not a byte more of this one counts. */
  release(): void {
    const carrier = this.#carrier;
    this.#unhook();
    carrier?.destroy();
  }

  /** Opens a stream. Data may be written at once; `opened` rejects if the far side refuses. */
  open(request: OpenRequest): { stream: SessionStream; opened: Promise<Opened> } {
    const payload = encodeRequest(request);
    const { stream, opened } = this.#streams.openOurs();
    if (this.#ended) stream.reset('the session has ended');
    else if (this.#draining) stream.reset('the session is going away');
    else this.#control(FRAME.OPEN, stream.id, payload);
    return { stream, opened };
  }

  /** No new streams from either side; ends cleanly when the last one is over and the peer has everything. */
  drain(): void {
    if (this.#draining || this.#ended) return;
    this.#draining = true;
    this.#control(FRAME.GOAWAY, 0, NOTHING);
    this.#endIfDrained();
    this.#changed();
  }

  /** Ends it now: every stream is reset on both sides, as far as the peer can be told. */
  end(reason: Error): void {
    this.#finish(reason, encodeReason(reason.message));
  }

  // ---- sending

  #control(type: FrameType, stream: number, payload: Buffer): void {
    if (this.#ended || this.#outbox.control(type, stream, payload)) return;
    this.end(new Error('too many control frames wait for a far side that does not read'));
  }

  #forget(stream: SessionStream): void {
    this.#outbox.forget(stream);
    this.#deliveries.add(stream, this.#outbox.end, this.#outbox.acknowledged);
    this.#streams.forget(stream);
    this.#endIfDrained();
  }

  // ---- receiving

  #read(carrier: Duplex, chunk: Buffer): void {
    if (carrier !== this.#carrier) return;
    this.#heartbeat.received();
    this.#isReading = true; // the frame that ends the last stream must be counted before the last acknowledgement goes out
    try {
      this.#inbox.read(chunk);
    } catch (error) {
      this.end(error as Error);
    } finally {
      this.#isReading = false;
    }
    this.#endIfDrained();
  }

  #count(bytes: number): void {
    if (this.#ended) return;
    this.#receipts.count(bytes);
    if (this.#draining) this.#receipts.acknowledge(); // the far side may wait for nothing else
  }

  #onGoaway(isOver: boolean, reason: string): void {
    if (isOver)
      return this.#finish(reason === '' ? undefined : new Error(`ended by the far side: ${reason}`), undefined);
    this.#draining = true;
    this.#endIfDrained();
    this.#changed();
  }

  #acceptAck(offset: number): void {
    this.#acknowledged(offset);
    this.#endIfDrained();
  }

  #acknowledged(offset: number): void {
    if (!this.#outbox.acknowledge(offset)) return;
    this.#heartbeat.acknowledged();
    this.#deliveries.acknowledged(offset);
    this.#options.onProgress();
  }

  // ---- the end of a carrier, and of the session

  #lose(carrier: Duplex | undefined, reason: Error): void {
    if (carrier === undefined || carrier !== this.#carrier) return;
    this.release();
    this.#options.onDetached(reason);
    this.#changed();
  }

  /** The carrier is not ours any more; nothing of it is read or written from now on. */
  #unhook(): void {
    this.#carrier = undefined;
    this.#inbox.close();
    this.#outbox.detach();
    this.#heartbeat.stop();
    this.#receipts.stop();
    this.#streams.detach();
  }

  #endIfDrained(): void {
    if (!this.#draining || this.#streams.size > 0 || this.#isReading) return;
    this.#idleSince ??= performance.now();
    if (this.#outbox.isSettled) this.#finish(undefined, NOTHING);
  }

  /** @param farewell what the peer is told, if it can be */
  #finish(reason: Error | undefined, farewell: Buffer | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    const carrier = this.#carrier;
    if (farewell !== undefined) {
      this.#outbox.last(FRAME.ACK, u64(this.#receipts.processed)); // what came is delivered, whatever is told after it
      this.#outbox.last(FRAME.GOAWAY, farewell, OVER);
    }
    this.#unhook();
    this.#closed.resolve(carrier && sayFarewell(carrier));
    this.#deliveries.lost();
    this.#streams.resetAll(reason?.message ?? 'the session has ended');
    this.#options.onEnded(reason);
    this.#changed();
    this.#watchers.clear();
  }

  #changed(): void {
    for (const changed of this.#watchers) changed();
  }
}
