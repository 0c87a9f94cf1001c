/** Two ends of a connection in memory, and a transport made of them that keeps every promise: what the suite is tried on. */
import { Duplex, PassThrough } from 'node:stream';
import {
  defineTransport,
  type ExitStatus,
  type Inbound,
  type Outbound,
  type Transport,
} from '../plugins/contract/index.ts';

class MemoryEnd extends Duplex {
  #peer: MemoryEnd | undefined;
  /** What the peer has written and we have no room for. */
  #resume: (() => void) | undefined;

  static pair(): [MemoryEnd, MemoryEnd] {
    const [one, other] = [new MemoryEnd(), new MemoryEnd()];
    one.#peer = other;
    other.#peer = one;
    return [one, other];
  }

  #receive(chunk: Buffer, done: () => void): void {
    if (this.destroyed || this.push(chunk)) done();
    else this.#resume = done;
  }

  override _read(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const peer = this.#peer;
    if (peer !== undefined) peer.#receive(Buffer.from(chunk), done);
  }

  override _final(done: () => void): void {
    this.#peer?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const hasEnded = this.readableEnded && this.writableFinished;
    const peer = this.#peer;
    this._read();
    if (!hasEnded && peer !== undefined && !peer.destroyed) peer.destroy(new Error('the far end was cut'));
    done(error);
  }
}

/** Both ends of a connection in memory: half-close, ends that are ends, and cuts (`destroy`) that the other end sees. */
export function memoryPair(): [Duplex, Duplex] {
  const ends = MemoryEnd.pair();
  for (const end of ends) end.on('error', () => {});
  return ends;
}

type Accept = (inbound: Inbound) => void;

/** A connection and what goes beside it. */
function connected(accept: Accept): Outbound {
  const [near, far] = memoryPair();
  const diagnostics = new PassThrough();
  const exit = Promise.withResolvers<ExitStatus | undefined>();
  const peer = { address: 'memory' };
  near.once('close', () => exit.resolve(undefined));
  far.once('close', () => diagnostics.end());
  accept({ stream: far, peer, diagnostics, exited: (status) => exit.resolve(status) });
  return { stream: near, peer, diagnostics, exit: exit.promise };
}

/** `memory:NAME`, within this process. Its places are its own: make one for each test. */
export function memoryTransport(): Transport {
  const places = new Map<string, Accept>();
  return defineTransport({
    contract: 1,
    name: 'memory',
    schemes: ['memory'],
    grammar: 'memory:NAME',
    summary: 'connections within this process',
    options: {},
    capabilities: ['half-close', 'proves-end', 'tells-cut', 'diagnostics', 'exit-status'],
    parse({ target }) {
      if (target === '') throw new Error('expected a name after "memory:"');
      return target;
    },
    occupies: (name) => `memory:${name}`,
    async listen(name, { accept, signal }) {
      if (places.has(name)) throw new Error(`memory:${name} is taken`);
      places.set(name, accept);
      const closed = new Promise<void>((resolve) => {
        const stop = (): void => {
          places.delete(name);
          resolve();
        };
        signal.addEventListener('abort', stop, { once: true });
        if (signal.aborted) stop();
      });
      return { address: `memory:${name}`, reach: 'local', closed };
    },
    async dial(name, { signal }) {
      signal.throwIfAborted();
      const accept = places.get(name);
      if (accept === undefined) throw new Error(`nobody listens at memory:${name}`);
      return connected(accept);
    },
  });
}
