/**
 * What a session receives from one carrier: bytes become frames, and frames go to whom they concern. Whatever is wrong
 * with one is a ProtocolError that names the frame and the byte of the carrier, counted from the end of the handshake,
 * at which it begins.
 */
import type { GiveBack } from '../lending.ts';
import { FrameReader } from './frame-reader.ts';
import {
  FRAME,
  type Frame,
  HEADER_BYTES,
  IGNORABLE,
  MAX_PAYLOAD,
  MAX_PING,
  OVER,
  ProtocolError,
  decodeReason,
  frameName,
  isCounted,
  readOffset,
} from './frames.ts';

/** What comes in, by meaning. */
export interface InboxHost {
  acknowledged(offset: number): void;
  ping(payload: Buffer): void;
  pong(): void;
  opened(frame: Frame): void;
  /** A frame of a stream. @throws ProtocolError if there never was such a stream */
  stream(frame: Frame): void;
  /** @param isOver now, not when the streams are */
  goaway(isOver: boolean, reason: string): void;
  /** A counted frame has been processed. */
  count(bytes: number): void;
}

export class Inbox {
  readonly #host: InboxHost;
  readonly #reader: FrameReader;
  readonly #giveBack: GiveBack;
  #isClosed = false;

  constructor(host: InboxHost, giveBack: GiveBack) {
    this.#host = host;
    this.#giveBack = giveBack;
    this.#reader = new FrameReader(giveBack);
    this.#reader.limit = MAX_PAYLOAD;
  }

  /** Nothing more is taken, even of a chunk that is being read. */
  close(): void {
    this.#isClosed = true;
  }

  /** @throws ProtocolError */
  read(chunk: Buffer): void {
    if (this.#isClosed) return;
    this.#reader.feed(chunk);
    for (let at = this.#reader.offset; !this.#isClosed; at = this.#reader.offset) {
      const frame = this.#reader.next();
      if (frame === undefined) return;
      this.#receive(frame, at);
    }
  }

  #receive(frame: Frame, at: number): void {
    try {
      if (isCounted(frame.type)) {
        this.#dispatch(frame);
        this.#host.count(HEADER_BYTES + frame.length);
      } else this.#receiveUncounted(frame);
      if (frame.type === FRAME.ACK || frame.type === FRAME.CREDIT) frame.pieces.forEach(this.#giveBack); // a number: it was read
    } catch (error) {
      if (error instanceof ProtocolError) error.message = describe(error.message, frame, at);
      throw error;
    }
  }

  #receiveUncounted({ type, payload, flags }: Frame): void {
    if (type === FRAME.ACK) return this.#host.acknowledged(readOffset(payload));
    if (type === FRAME.PONG) return this.#host.pong();
    if (type === FRAME.PING) {
      if (payload.length > MAX_PING) throw new ProtocolError(`more than ${MAX_PING} bytes to repeat`);
      return this.#host.ping(payload);
    }
    skipUnknown(flags, 'which has no place in a running session');
  }

  #dispatch(frame: Frame): void {
    const { type, flags } = frame;
    if (type === FRAME.GOAWAY) return this.#host.goaway((flags & OVER) !== 0, decodeReason(frame.payload));
    if (type > FRAME.GOAWAY) return skipUnknown(flags, 'which is unknown');
    if (type === FRAME.OPEN) return this.#host.opened(frame);
    this.#host.stream(frame);
  }
}

function skipUnknown(flags: number, why: string): void {
  if ((flags & IGNORABLE) === 0) throw new ProtocolError(why);
}

const describe = (message: string, { type, stream }: Frame, at: number): string =>
  `frame ${frameName(type)}${stream === 0 ? '' : ` of stream ${stream}`} at byte ${at}: ${message}`;
