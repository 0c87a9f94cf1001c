/** One end of a connection through the gateway, as the test's own client or server holds it. */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type { Payload } from './payload.ts';

/** What an end was told last by the other side. */
export type Seen = 'end' | 'cut';

export interface End {
  readonly readable: Readable;
  readonly writable: Writable;
  /** Resolves when the medium has told it; never rejects. */
  readonly seen: Promise<Seen>;
  /** Dies in the middle, in the way of its medium that is no end. */
  cut(): void;
}

/** Over a socket, or whatever breaks before its `end` when it is cut. */
export function socketEnd(socket: Socket, cut: () => void): End {
  socket.on('error', () => {}); // a cut; `close` follows
  const seen = new Promise<Seen>((resolve) => {
    socket.once('end', () => resolve('end'));
    socket.once('close', () => resolve('cut'));
  });
  return { readable: socket, writable: socket, seen, cut };
}

export interface Received {
  readonly bytes: number;
  readonly sha256: string;
}

/** Reads until the other side is silent for ever, and tells what came; whether that was an end, `seen` tells. */
export function receive({ readable }: End, onBytes: (bytes: number) => void = () => {}): Promise<Received> {
  const hash = createHash('sha256');
  let bytes = 0;
  readable.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
    onBytes(bytes);
  });
  return new Promise((resolve) => {
    const done = (): void => resolve({ bytes, sha256: hash.copy().digest('hex') });
    readable.once('end', done).once('close', done);
  });
}

/** Writes without an end; stops early if the other side is gone. `onTaken` tells the bytes that the medium has taken. */
export async function write(
  { writable }: End,
  { bytes }: Payload,
  { length, chunk = 64 * 1024, from = 0 }: { length: number; chunk?: number; from?: number },
  onTaken: (bytes: number) => void = () => {},
): Promise<void> {
  const gone = new Promise<void>((resolve) => writable.once('close', resolve));
  let taken = from;
  for (let at = from; at < length && writable.writable; at += chunk) {
    const piece = bytes.subarray(at, Math.min(at + chunk, length));
    const more = writable.write(piece, (error) => {
      if (!error) onTaken((taken += piece.length));
    });
    if (!more) await Promise.race([new Promise<void>((resolve) => writable.once('drain', resolve)), gone]);
  }
}
