/** What checks do with the two ends of a connection. */
import { createHash, createCipheriv } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { Connection } from '../plugins/contract/index.ts';

/** Bytes that nobody can compress, the same for the same seed. */
export const payload = (seed: string, length: number): Buffer =>
  createCipheriv('aes-128-ctr', createHash('md5').update(seed).digest(), Buffer.alloc(16)).update(Buffer.alloc(length));

export const digest = (bytes: Buffer | readonly Buffer[]): string => {
  const hash = createHash('sha256');
  for (const chunk of [bytes].flat()) hash.update(chunk);
  return hash.digest('hex');
};

/** Resolves with how what the far end sends is over. The listeners are there at once. */
export const ending = (stream: Duplex): Promise<'end' | 'cut'> =>
  new Promise((resolve) => {
    stream.once('end', () => resolve('end'));
    stream.once('error', () => resolve('cut'));
    stream.once('close', () => resolve('cut'));
    if (stream.closed) resolve(stream.readableEnded ? 'end' : 'cut');
  });

export interface Received {
  readonly bytes: Buffer;
  readonly how: 'end' | 'cut';
}

/** All that comes until it is over. */
export async function receive(stream: Duplex): Promise<Received> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(Buffer.from(chunk)));
  const over = ending(stream);
  stream.resume();
  const how = await over;
  return { bytes: Buffer.concat(chunks), how };
}

/** Resolves when at least so many bytes have come; goes on reading. */
export function receiveSome(stream: Duplex, count: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      chunks.push(Buffer.from(chunk));
      if (chunks.reduce((sum, { length }) => sum + length, 0) >= count) resolve(Buffer.concat(chunks));
    });
    stream.once('close', () => reject(new Error('it was closed before its bytes had come')));
    stream.resume();
  });
}

/** Writes in pieces and waits where it has to; stops when the stream is gone. */
export async function send(
  stream: Duplex,
  bytes: Buffer,
  piece = 64 * 1024,
  taken?: (count: number) => void,
): Promise<void> {
  for (let at = 0; at < bytes.length && stream.writable; at += piece) {
    const chunk = bytes.subarray(at, at + piece);
    const closed = Promise.withResolvers<void>();
    stream.once('close', closed.resolve);
    await Promise.race([new Promise<void>((resolve) => stream.write(chunk, () => resolve())), closed.promise]);
    stream.off('close', closed.resolve);
    taken?.(at + chunk.length);
  }
}

/** As the core cuts. */
export function cut({ stream, abort }: Connection): void {
  const reason = new Error('the suite cuts');
  if (abort === undefined) stream.destroy(reason);
  else abort(reason);
}

/** `close` of a stream, also if it was before. */
export const closed = (stream: Duplex): Promise<void> =>
  new Promise((resolve) => {
    if (stream.closed) resolve();
    else stream.once('close', () => resolve());
  });
