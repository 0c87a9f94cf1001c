/**
 * A relay: the running pair of an inbound and an outbound connection.
 *
 * What happens, in order:
 * 1. Both directions are pumped at once (pump.ts). An end of one is passed on as an end, and the other goes on.
 * 2. After the first end, `idleAfterEnd` without a byte in either direction cuts the relay; as long as bytes move
 *    there is no limit.
 * 3. A stream that breaks before its end is a cut: the other side is aborted, so that it cannot take it for an end.
 * 4. The relay has ended when the reply has reached the source and the request has reached the sink. A sink that is
 *    gone after its end (a command that exits without reading all its input) ends it too: what the source still
 *    sends is thrown away for a moment, so that the reply is not destroyed by a reset.
 * 5. A source that is gone before the reply reached it is a cut, even if its own direction had ended.
 *
 * The relay owns both connections from its construction on, and has freed them when `run` resolves. `run` never rejects.
 */
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { SluiceError, reasonOf } from './errors.ts';
import { LIMITS } from './limits.ts';
import { pump, type Meter } from './pump.ts';
import type { Connection, ExitStatus, Inbound, Outbound } from '../plugins/contract/index.ts';

export type Side = 'source' | 'sink';

export interface Outcome {
  readonly how: 'ended' | 'cut';
  /** Who cut, and why. */
  readonly by?: Side | 'us';
  readonly reason?: SluiceError;
  readonly status?: ExitStatus;
}

interface Cut {
  readonly by: Side | 'us';
  readonly reason: SluiceError;
}

export interface RelayOptions {
  /** ms without a byte after the first end; 0 means no limit. */
  readonly idleAfterEnd: number;
  /** Resolves when the source has been shown all that the sink says beside its data: its status comes after that. */
  readonly diagnosed?: Promise<void>;
  /** Looks at the first bytes of the sink: what it returns cuts the relay, and the source gets none of them. */
  readonly refuses?: (first: Buffer) => SluiceError | undefined;
}

/** Frees a connection the hard way; a transport whose `abort` throws does not keep its descriptor. */
export function abortConnection({ stream, abort }: Connection, reason: Error): void {
  stream.on('error', () => {}); // the reason comes back as this stream's error, and has been told already
  try {
    abort?.(reason);
  } catch {
    stream.destroy(reason);
  }
  if (abort === undefined) stream.destroy(reason);
}

const isOpen = (stream: Duplex): boolean => !stream.closed;

/** Resolves at the stream's `close`, or after `limit` ms: whichever comes first. */
export async function closed(stream: Duplex, limit: number): Promise<void> {
  if (!isOpen(stream)) return;
  const timer = new AbortController();
  const close = new Promise<void>((resolve) => stream.once('close', resolve));
  await Promise.race([close, sleep(limit, undefined, { signal: timer.signal }).catch(() => {})]);
  timer.abort();
}

export class Relay {
  /** Bytes from the source to the sink, and back. */
  readonly toSink: Meter;
  readonly toSource: Meter;
  readonly #inbound: Inbound;
  readonly #outbound: Outbound;
  readonly #idleAfterEnd: number;
  readonly #diagnosed: Promise<void>;
  readonly #over = Promise.withResolvers<Cut | undefined>();
  /** Resolves when `abort` is called; also after both ends, while a command still works. */
  readonly #stopped = Promise.withResolvers<Cut>();
  /** At once: an end that comes before the cut is made is not passed on. */
  #isAborted = false;
  #lastProgress = performance.now();
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(inbound: Inbound, outbound: Outbound, options: RelayOptions) {
    const progress = (): void => {
      this.#lastProgress = performance.now();
    };
    this.toSink = { bytes: 0, progress };
    const { refuses } = options;
    this.toSource = { bytes: 0, progress, ...(refuses && { refuses: this.#refusing(refuses) }) };
    this.#inbound = inbound;
    this.#outbound = outbound;
    this.#idleAfterEnd = options.idleAfterEnd;
    this.#diagnosed = options.diagnosed ?? Promise.resolve();
  }

  #refusing(refuses: NonNullable<RelayOptions['refuses']>): (first: Buffer) => boolean {
    return (first) => {
      const reason = refuses(first);
      if (reason !== undefined) this.abort(reason);
      return reason !== undefined;
    };
  }

  /** Cuts both sides; `run` resolves soon after. */
  abort(reason: SluiceError): void {
    this.#isAborted = true;
    this.#over.resolve({ by: 'us', reason });
    this.#stopped.resolve({ by: 'us', reason });
  }

  async run(): Promise<Outcome> {
    const source = this.#inbound.stream;
    const sink = this.#outbound.stream;
    this.#watch('source', source, sink);
    this.#watch('sink', sink, source);
    pump(source, sink, this.toSink);
    pump(sink, source, this.toSource);
    const cut = await this.#over.promise;
    clearTimeout(this.#idleTimer);
    return cut === undefined ? this.#finish() : this.#cutBoth(cut);
  }

  #watch(side: Side, stream: Duplex, other: Duplex): void {
    let failure: unknown;
    stream.on('error', (error) => {
      failure ??= error;
    });
    stream.once('end', () => {
      if (other.writable && !this.#isAborted) other.end();
      this.#startIdleWatch();
    });
    stream.once('finish', () => this.#check());
    const onClose = (): void => {
      const lost = !stream.readableEnded || (side === 'source' && !stream.writableFinished);
      if (lost) this.#over.resolve({ by: side, reason: describeCut(side, failure ?? stream.errored) });
      else this.#check();
    };
    if (stream.closed) onClose();
    else stream.once('close', onClose);
  }

  /** Ended when the reply has reached the source, and the request has reached the sink or the sink is gone. */
  #check(): void {
    const { stream: source } = this.#inbound;
    const { stream: sink } = this.#outbound;
    const replied = sink.readableEnded && source.writableFinished;
    const requested = source.readableEnded && sink.writableFinished;
    if (replied && (requested || !isOpen(sink))) this.#over.resolve(undefined);
  }

  #startIdleWatch(): void {
    if (this.#idleAfterEnd === 0 || this.#idleTimer !== undefined) return;
    this.#lastProgress = performance.now();
    const look = (): void => {
      const left = this.#lastProgress + this.#idleAfterEnd - performance.now();
      if (left > 0) this.#idleTimer = setTimeout(look, left);
      else this.#over.resolve({ by: 'us', reason: idleError(this.#idleAfterEnd) });
    };
    this.#idleTimer = setTimeout(look, this.#idleAfterEnd);
  }

  async #finish(): Promise<Outcome> {
    const { stream: source, exited } = this.#inbound;
    const { stream: sink, exit } = this.#outbound;
    const status = exit && (await Promise.race([exit, this.#stopped.promise]));
    if (status !== undefined && 'by' in status) return this.#cutBoth(status);
    if (exit !== undefined && status === undefined)
      return this.#cutBoth({ by: 'sink', reason: describeCut('sink', sink.errored ?? 'its exit status was lost') });
    if (status !== undefined) await this.#untilDiagnosed();
    if (status !== undefined) exited?.(status);
    const undelivered = await this.#undelivered();
    if (undelivered !== undefined) return this.#cutBoth(undelivered);
    if (isOpen(source)) {
      source.resume();
      await closed(source, LIMITS.discardAfterEnd);
    }
    source.destroy();
    sink.destroy();
    await Promise.all([closed(source, LIMITS.abortGrace), closed(sink, LIMITS.abortGrace)]);
    return status === undefined ? { how: 'ended' } : { how: 'ended', status };
  }

  /** A grandchild may hold the standard error of a command that has exited: it is not waited for. */
  async #untilDiagnosed(): Promise<void> {
    const over = new AbortController();
    const patience = sleep(LIMITS.diagnosticsPatience, undefined, { signal: over.signal }).catch(() => {});
    await Promise.race([this.#diagnosed, this.#stopped.promise, patience]);
    over.abort();
  }

  /** Both directions have ended, as far as writing goes; a side that can tell must have taken it, too. */
  async #undelivered(): Promise<Cut | undefined> {
    for (const [side, { delivered, stream }] of [
      ['source', this.#inbound],
      ['sink', this.#outbound],
    ] as const) {
      if (delivered === undefined) continue;
      const outcome = await Promise.race([delivered, this.#stopped.promise]);
      if (typeof outcome === 'object') return outcome;
      if (!outcome) return { by: side, reason: describeCut(side, stream.errored ?? 'lost before all was delivered') };
    }
    return undefined;
  }

  async #cutBoth(cut: Cut): Promise<Outcome> {
    const { exit } = this.#outbound;
    if (isOpen(this.#inbound.stream)) abortConnection(this.#inbound, cut.reason);
    if (isOpen(this.#outbound.stream)) abortConnection(this.#outbound, cut.reason);
    await Promise.all([
      closed(this.#inbound.stream, LIMITS.abortGrace),
      closed(this.#outbound.stream, LIMITS.abortGrace),
    ]);
    if (exit === undefined) return { how: 'cut', ...cut };
    const status = await Promise.race([exit, sleep(LIMITS.abortGrace, undefined, { ref: false })]);
    return status === undefined ? { how: 'cut', ...cut } : { how: 'cut', ...cut, status };
  }
}

function describeCut(side: Side, failure: unknown): SluiceError {
  const why = failure === undefined ? 'closed before its end' : reasonOf(failure);
  return new SluiceError('SLUICE_CUT', `cut by the ${side}: ${why}`, { cause: failure });
}

const idleError = (limit: number): SluiceError =>
  new SluiceError(
    'SLUICE_IDLE',
    `no byte for ${limit / 1000} s after one direction had ended; give a longer "idle" if the other side needs it`,
  );
