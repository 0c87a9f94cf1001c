/**
 * Streams that the far side opens. What is wrong, too much or too late is refused here; the rest is the owner's to accept
 * or to refuse, now or later, once.
 */
import { FRAME, encodeReason, type Frame, type FrameType } from './frames.ts';
import { encodeOpened, parseRequest } from './open-request.ts';
import type { OpenStreams } from './open-streams.ts';
import type { OpenAnswer, SessionOptions } from './session-options.ts';
import type { SessionStream } from './stream.ts';

const MAX_STREAMS = 4096;

interface ReceptionOptions extends Pick<SessionOptions, 'onOpen' | 'maxStreams'> {
  readonly streams: OpenStreams;
  readonly control: (type: FrameType, stream: number, payload: Buffer) => void;
}

export class Reception {
  readonly #options: ReceptionOptions;

  constructor(options: ReceptionOptions) {
    this.#options = options;
  }

  /** @throws ProtocolError */
  receive({ stream: id, payload }: Frame, isDraining: boolean): void {
    const { streams, control, onOpen } = this.#options;
    const request = parseRequest(payload);
    const fault = typeof request === 'string' ? request : this.#reasonToRefuse(isDraining);
    if (typeof request !== 'string' && fault === undefined)
      return onOpen(request, this.#answer(streams.openTheirs(id)));
    streams.takeTheirs(id);
    control(FRAME.REFUSED, id, encodeReason(fault ?? ''));
  }

  #reasonToRefuse(isDraining: boolean): string | undefined {
    const { streams } = this.#options;
    if (isDraining) return 'this side is going away';
    const maxStreams = this.#options.maxStreams?.() ?? MAX_STREAMS;
    return streams.theirs < maxStreams ? undefined : `${maxStreams} streams are open, which is the limit`;
  }

  #answer(stream: SessionStream): OpenAnswer {
    const { streams, control } = this.#options;
    const { id } = stream;
    return {
      stream,
      refuse: (reason) => {
        if (!streams.has(id)) return;
        control(FRAME.REFUSED, id, encodeReason(reason));
        stream.reset(reason); // ours is over too, and the far side has been told
      },
      accept: (opened) => {
        if (!streams.has(id)) return stream;
        if (opened.exit) stream.promiseExit('us');
        control(FRAME.OPENED, id, encodeOpened(opened));
        return stream;
      },
    };
  }
}
