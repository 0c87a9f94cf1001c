/** A WebSocket that speaks `sluice.bytes.1`, written from its description: an empty binary message is an end. */
import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { End, Seen } from './end.ts';

export const SUBPROTOCOL = 'sluice.bytes.1';

class MarkedStream extends Duplex {
  readonly #ws: WebSocket;

  constructor(ws: WebSocket) {
    super({ allowHalfOpen: true });
    this.#ws = ws;
    ws.on('message', (message: Buffer) => {
      if (!this.push(message.length === 0 ? null : message) && message.length > 0) ws.pause();
    });
    ws.on('error', (error) => this.destroy(error));
    ws.on('close', () => this.destroy());
  }

  override _read(): void {
    this.#ws.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#ws.send(chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#ws.send(Buffer.alloc(0), done);
  }

  /** Both have ended, or the test is over with it. */
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.readableEnded && this.writableFinished) this.#ws.close(1000);
    else this.#ws.terminate();
    done(error);
  }
}

export function webSocketEnd(ws: WebSocket): End {
  const stream = new MarkedStream(ws);
  stream.on('error', () => {});
  const seen = new Promise<Seen>((resolve) => {
    stream.once('end', () => resolve('end'));
    stream.once('close', () => resolve('cut'));
  });
  return { readable: stream, writable: stream, seen, cut: () => ws.terminate() };
}
