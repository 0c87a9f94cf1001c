/**
 * Tells an end of TLS (close_notify) from a cut. A TLSSocket over a plain socket emits the same events for both; with
 * a stream of ours between the two, it can be seen whether TLS had ended before the socket did. That costs a quarter
 * of the rate, so `truncation=end` leaves it out, for peers that never send close_notify and for those who do not mind.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

/**
 * The raw socket as a stream in between. Owns the socket. It lives until TLS lets go of it: if it closed by itself once
 * both directions have ended, TLS would be destroyed with what it has not yet given to a slow reader.
 */
export class RawSide extends Duplex {
  readonly socket: Socket;
  /** The socket has ended, and TLS has been given all that came before. */
  hasEnded = false;

  constructor(socket: Socket) {
    super({ allowHalfOpen: true, autoDestroy: false });
    this.socket = socket;
    this.once('end', () => {
      this.hasEnded = true;
    });
    socket.on('data', (chunk) => {
      if (!this.push(chunk)) socket.pause();
    });
    socket.once('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.once('close', () => {
      if (!socket.readableEnded) this.destroy();
    });
  }

  override _read(): void {
    this.socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.socket.write(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.socket.cork();
    const last = chunks.length - 1;
    for (const [index, { chunk }] of chunks.entries()) this.socket.write(chunk, index === last ? done : undefined);
    this.socket.uncork();
  }

  override _final(done: () => void): void {
    this.socket.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.socket.destroy();
    done(error);
  }
}

/** Makes a TLS socket over `raw` break, rather than end, when the raw side ends without close_notify. */
export function refuseTruncation(socket: TLSSocket, raw: RawSide): void {
  const push = socket.push.bind(socket);
  socket.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk !== null || !raw.hasEnded) return push(chunk, encoding);
    socket.destroy(new Error('the peer closed without close_notify; if it never sends one, use "truncation=end"'));
    return false;
  };
}
