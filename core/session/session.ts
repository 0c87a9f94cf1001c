/**
 * A session: many streams over one carrier after another. It knows carriers as Duplex streams and nothing of transports.
 *
 * What happens, in order:
 * 1. The handshake (handshake.ts) has proved who is there; `attach` gives the carrier, and the offset that the peer has
 *    processed. What it has not is sent again first.
 * 2. Streams take turns in frames of at most 64 KiB, while the carrier takes bytes and the window allows more.
 * 3. Every counted frame that was processed is acknowledged; an acknowledgement frees what is kept for replay.
 * 4. A carrier that ends or breaks detaches the session: streams stall and notice nothing. Whoever owns the session
 *    attaches another, or ends it; then every stream is reset.
 */
import type { Duplex } from 'node:stream';
import {
  FRAME,
  FrameReader,
  HEADER_BYTES,
  IGNORABLE,
  MAX_PAYLOAD,
  ProtocolError,
  frameName,
  isCounted,
  type Frame,
} from './frames.ts';
import { Outbox } from './outbox.ts';
import { HEARTBEAT, Heartbeat, type HeartbeatTimes } from './heartbeat.ts';
import { Receipts } from './receipts.ts';
import { SessionStream, type StreamHost } from './stream.ts';

/** What a stream is opened with. */
export interface OpenRequest {
  readonly service: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** What the side that accepted a stream will tell beside its data. */
export interface Opened {
  readonly exit: boolean;
}

export interface SessionOptions {
  /** The dialing side numbers its streams odd, the other even. */
  readonly side: 'dialer' | 'listener';
  /** A stream that the far side opens: call `accept` or `refuse`, now or later. */
  readonly onOpen: (request: OpenRequest, answer: OpenAnswer) => void;
  /** The peer has acknowledged something new. */
  readonly onProgress: () => void;
  /** The carrier is gone; the session lives on. */
  readonly onDetached: (reason: Error) => void;
  /** It is over; every stream has been freed. */
  readonly onEnded: (reason: Error | undefined) => void;
  readonly heartbeat?: HeartbeatTimes;
}

export interface OpenAnswer {
  /** Takes data at once, also before the answer. */
  readonly stream: SessionStream;
  accept(opened: Opened): SessionStream;
  refuse(reason: string): void;
}

/** Flag of GOAWAY: the session is over now, not when its streams are. */
const OVER = 1;

const NOTHING = Buffer.alloc(0);

const u64 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

function parseJson(payload: Buffer, what: string): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch (cause) {
    throw new ProtocolError(`${what} that cannot be read`, { cause });
  }
}

export class Session {
  readonly #options: SessionOptions;
  readonly #streams = new Map<number, SessionStream>();
  readonly #opening = new Map<number, PromiseWithResolvers<Opened>>();
  readonly #outbox = new Outbox();
  readonly #receipts = new Receipts((processed) => this.#outbox.now(FRAME.ACK, u64(processed)));
  readonly #heartbeat: Heartbeat;
  readonly #host: StreamHost;
  #carrier: Duplex | undefined;
  #nextId: number;
  #draining = false;
  #ended = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#nextId = options.side === 'dialer' ? 1 : 2;
    this.#heartbeat = new Heartbeat(options.heartbeat ?? HEARTBEAT, {
      ping: () => this.#outbox.now(FRAME.PING, NOTHING),
      isWaiting: () => this.#outbox.unacknowledged > 0,
      die: (reason) => this.#carrier?.destroy(reason),
      roundTrip: (milliseconds, now) => this.#outbox.measured(milliseconds, now),
    });
    this.#host = {
      ready: (stream) => this.#outbox.ready(stream),
      control: (type, stream, payload) => this.#outbox.control(type, stream, payload),
      finished: (stream) => this.#forget(stream),
      roundTrip: () => this.#outbox.roundTrip,
    };
  }

  /** Bytes of counted frames that we have processed: what a resume tells the peer. */
  get processed(): number {
    return this.#receipts.processed;
  }

  /** Bytes kept for replay. */
  get unacknowledged(): number {
    return this.#outbox.unacknowledged;
  }

  get streams(): number {
    return this.#streams.size;
  }

  get isAttached(): boolean {
    return this.#carrier !== undefined;
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
    const old = this.#carrier;
    this.#outbox.detach();
    this.#carrier = carrier;
    old?.destroy();
    this.#acceptAck(peerProcessed);
    const reader = new FrameReader();
    reader.limit = MAX_PAYLOAD;
    const read = (chunk: Buffer): void => this.#read(carrier, reader, chunk);
    const lose = (why: string) => (error?: Error) => this.#lose(carrier, error ?? new Error(why));
    carrier.on('error', lose('broken'));
    carrier.once('end', lose('the carrier ended'));
    carrier.once('close', lose('the carrier was closed'));
    if (carrier.destroyed || carrier.readableEnded) setImmediate(lose('the carrier was lost after the handshake'));
    this.#heartbeat.start();
    this.#outbox.attach(carrier);
    if (early.length > 0) read(early);
    carrier.on('data', read);
    carrier.resume(); // the handshake has paused it
  }

  /** Opens a stream. Data may be written at once; `opened` rejects if the far side refuses. */
  open(request: OpenRequest): { stream: SessionStream; opened: Promise<Opened> } {
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = this.#add(id);
    const answer = Promise.withResolvers<Opened>();
    answer.promise.catch(() => {}); // whoever does not wait for it sees the stream break
    this.#opening.set(id, answer);
    this.#outbox.control(FRAME.OPEN, id, Buffer.from(JSON.stringify(request)));
    return { stream, opened: answer.promise };
  }

  /** No new streams from either side; ends cleanly when the last one is over. */
  drain(): void {
    if (this.#draining || this.#ended) return;
    this.#draining = true;
    this.#outbox.control(FRAME.GOAWAY, 0, NOTHING);
    this.#endIfDrained();
  }

  /** Ends it now: every stream is reset on both sides, as far as the peer can be told. */
  end(reason: Error): void {
    this.#finish(reason, Buffer.from(reason.message).subarray(0, 1024));
  }

  // ---- streams

  #add(id: number): SessionStream {
    const stream = new SessionStream(id, this.#host);
    stream.on('error', () => {}); // who uses it listens too; a reset nobody waits for must not end the process
    this.#streams.set(id, stream);
    return stream;
  }

  #forget(stream: SessionStream): void {
    this.#outbox.forget(stream);
    this.#streams.delete(stream.id);
    this.#opening.get(stream.id)?.reject(new Error('the stream was closed before it was answered'));
    this.#opening.delete(stream.id);
    this.#endIfDrained();
  }

  // ---- receiving

  #read(carrier: Duplex, reader: FrameReader, chunk: Buffer): void {
    if (carrier !== this.#carrier) return;
    this.#heartbeat.received();
    try {
      reader.feed(chunk);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) this.#receive(frame);
    } catch (error) {
      this.end(error as Error);
    }
  }

  #receive(frame: Frame): void {
    if (this.#ended) return;
    if (!isCounted(frame.type)) return this.#receiveUncounted(frame);
    this.#dispatch(frame);
    this.#receipts.count(HEADER_BYTES + frame.payload.length);
  }

  #receiveUncounted({ type, payload, flags }: Frame): void {
    if (type === FRAME.ACK) this.#acceptAck(readOffset(payload));
    else if (type === FRAME.PING) this.#outbox.now(FRAME.PONG, payload);
    else if (type === FRAME.PONG) this.#heartbeat.ponged();
    else if ((flags & IGNORABLE) === 0) throw new ProtocolError(`${frameName(type)} has no place in a running session`);
  }

  #dispatch({ type, stream: id, payload, flags }: Frame): void {
    if (type === FRAME.OPEN) return this.#onOpen(id, payload);
    if (type === FRAME.OPENED) return this.#onOpened(id, payload);
    if (type === FRAME.REFUSED) return this.#onRefused(id, payload);
    if (type === FRAME.GOAWAY) return this.#onGoaway(flags, payload);
    if (type > FRAME.GOAWAY) {
      if ((flags & IGNORABLE) !== 0) return;
      throw new ProtocolError(`unknown frame ${frameName(type)}`);
    }
    this.#streams.get(id)?.receive(type, payload); // one that is unknown is one that we have reset
  }

  #onOpen(id: number, payload: Buffer): void {
    const isTheirs = id > 0 && (id % 2 === 1) === (this.#options.side === 'listener');
    if (!isTheirs || this.#streams.has(id))
      throw new ProtocolError(`stream ${id} cannot be opened by the far side now`);
    const request = parseJson(payload, 'an OPEN') as OpenRequest;
    const stream = this.#add(id);
    const refuse = (reason: string): void => {
      this.#outbox.control(FRAME.REFUSED, id, Buffer.from(reason).subarray(0, 1024));
      stream.receive(FRAME.RESET, Buffer.from(reason)); // ours is over too, and the far side has been told
    };
    if (this.#draining) return refuse('this side is going away');
    this.#options.onOpen(request, {
      stream,
      refuse,
      accept: (opened) => {
        if (opened.exit) stream.promiseExit('us');
        this.#outbox.control(FRAME.OPENED, id, Buffer.from(JSON.stringify(opened)));
        return stream;
      },
    });
  }

  #onOpened(id: number, payload: Buffer): void {
    const { exit } = parseJson(payload, 'an answer to OPEN') as Opened;
    if (exit) this.#streams.get(id)?.promiseExit('them');
    this.#opening.get(id)?.resolve({ exit });
  }

  #onRefused(id: number, payload: Buffer): void {
    this.#opening.get(id)?.reject(new Error(payload.toString()));
    this.#streams.get(id)?.receive(FRAME.RESET, payload);
  }

  #onGoaway(flags: number, payload: Buffer): void {
    const reason = payload.length === 0 ? undefined : new Error(`ended by the far side: ${payload.toString()}`);
    if ((flags & OVER) !== 0) return this.#finish(reason, undefined);
    this.#draining = true;
    this.#endIfDrained();
  }

  // ---- acknowledgement

  #acceptAck(offset: number): void {
    if (!this.#outbox.acknowledge(offset)) return;
    this.#heartbeat.acknowledged();
    this.#options.onProgress();
  }

  // ---- the end of a carrier, and of the session

  #lose(carrier: Duplex, reason: Error): void {
    if (carrier !== this.#carrier) return;
    this.#carrier = undefined;
    this.#outbox.detach();
    this.#heartbeat.stop();
    this.#receipts.stop();
    carrier.destroy();
    this.#options.onDetached(reason);
  }

  #endIfDrained(): void {
    if (this.#draining && this.#streams.size === 0 && !this.#ended) this.#finish(undefined, NOTHING);
  }

  /** @param farewell what the peer is told, if it can be */
  #finish(reason: Error | undefined, farewell: Buffer | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#heartbeat.stop();
    this.#receipts.stop();
    const carrier = this.#carrier;
    this.#carrier = undefined;
    if (farewell !== undefined) this.#outbox.now(FRAME.GOAWAY, farewell, OVER);
    this.#outbox.detach();
    carrier?.end();
    carrier?.resume();
    const lost = Buffer.from(reason?.message ?? 'the session has ended');
    for (const stream of this.#streams.values()) stream.receive(FRAME.RESET, lost);
    this.#options.onEnded(reason);
  }
}

function readOffset(payload: Buffer): number {
  if (payload.length !== 8) throw new ProtocolError(`an offset of ${payload.length} bytes instead of 8`);
  const offset = Number(payload.readBigUInt64BE());
  if (!Number.isSafeInteger(offset)) throw new ProtocolError('an offset that cannot be');
  return offset;
}
