/**
 * Moves bytes from one stream to another, with backpressure, and nothing else: what an end or a cut means is the
 * relay's. Two ways, one face:
 *
 * - `pumpStream` works with any Duplex: `data`, `write`, `pause`, `drain`.
 * - `pumpSocket` reads a bare socket into buffers of ours, each used again as soon as the kernel has taken it: about
 *   twice the rate of `stream.pipe`. Node offers this (`onread`) only for sockets that it connects itself, so for
 *   accepted ones it is switched on through the socket's own fields. Where they are not as expected, it says so and
 *   `pumpStream` is used: slower, the same otherwise.
 */
import { Socket } from 'node:net';
import type { Duplex, Writable } from 'node:stream';
import { LIMITS } from './limits.ts';

/** Counts what has moved. */
export interface Meter {
  bytes: number;
  /** Called for each chunk read and each write completed. */
  progress: () => void;
}

/** Starts moving bytes; the caller watches both streams for their ends and errors. */
export function pump(from: Duplex, to: Duplex, meter: Meter): void {
  if (!(canReuseBuffers(from, to) && pumpSocket(from as Socket, to, meter))) pumpStream(from, to, meter);
}

export function pumpStream(from: Duplex, to: Duplex, meter: Meter): void {
  let isGathering = false;
  const gather = (): void => {
    isGathering = true;
    to.cork();
    process.nextTick(() => {
      isGathering = false;
      to.uncork();
    });
  };
  from.on('data', (chunk: Buffer) => {
    meter.bytes += chunk.length;
    meter.progress();
    if (!to.writable) return;
    if (!isGathering) gather();
    const hasRoom = to.write(chunk, meter.progress) || to.writableLength < LIMITS.readBuffer;
    if (!hasRoom) from.pause();
  });
  to.on('drain', () => {
    meter.progress();
    from.resume();
  });
  from.resume(); // an accepted socket was paused, and a listener for data alone does not start it
}

/** The fields that `new Socket({ onread })` fills in, found by trying it, so that no name is guessed. */
interface ReadFields {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly generator: symbol;
}

/** `onread` is an option of the constructor by Node's documentation, and not yet by its types. */
const READ_INTO_BUFFER = { onread: { buffer: () => Buffer.alloc(1), callback: () => true } };

function findReadFields(): ReadFields | undefined {
  const plain = new Socket();
  const template = new Socket(READ_INTO_BUFFER);
  const named = (name: string): symbol | undefined =>
    Object.getOwnPropertySymbols(template).find((symbol) => symbol.description === name && symbol in plain);
  const fields = { buffer: named('kBuffer'), callback: named('kBufferCb'), generator: named('kBufferGen') };
  plain.destroy();
  template.destroy();
  const found = Object.values(fields).every((symbol) => symbol !== undefined);
  return found ? (fields as ReadFields) : undefined;
}

interface Handle {
  useUserBuffer?(buffer: Buffer): void;
}
type OpenSocket = Socket & { _handle?: Handle | null } & Record<symbol, unknown>;

let fields: ReadFields | undefined | null = null;

/**
 * A buffer may be read into again only once the writing side has let go of it. A socket has when its write callback
 * runs, and streams of transports may promise the same; of others nobody can tell (a pass-through keeps the chunk), so
 * they get fresh buffers.
 */
const canReuseBuffers = (from: Duplex, to: Writable): boolean =>
  from instanceof Socket && !('encrypted' in from) && (to instanceof Socket || 'releasesChunks' in to);

/** Counted in buffers, not in bytes: each keeps its whole size, and a peer may fill it with one byte. */
const MOST_WAITING = LIMITS.writeAhead / LIMITS.readBuffer;

function pumpSocket(from: Socket, to: Duplex, meter: Meter): boolean {
  if (fields === null) fields = findReadFields();
  const socket = from as OpenSocket;
  const handle = socket._handle;
  const untouched = from.readableLength === 0 && from.readableFlowing !== true;
  if (fields === undefined || typeof handle?.useUserBuffer !== 'function' || !untouched) return false;

  const free: Buffer[] = [];
  const next = (): Buffer => free.pop() ?? Buffer.allocUnsafeSlow(LIMITS.readBuffer);
  const first = next();
  let waiting = 0;
  socket[fields.buffer] = first;
  socket[fields.generator] = next;
  socket[fields.callback] = (count: number, buffer: Buffer): boolean => {
    meter.bytes += count;
    meter.progress();
    if (!to.writable) return true;
    const release = (): void => {
      free.push(buffer);
      meter.progress();
      if (waiting === MOST_WAITING) from.resume();
      waiting -= 1;
    };
    waiting += 1;
    to.write(count === buffer.length ? buffer : buffer.subarray(0, count), release);
    return waiting < MOST_WAITING;
  };
  handle.useUserBuffer(first);
  from.resume();
  return true;
}
