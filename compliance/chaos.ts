/**
 * A wire that misbehaves, the same for the same seed: for tests of whatever must survive bad carriers. It needs nothing
 * but Node, knows no test framework and nothing of what it carries.
 *
 *     const wire = chaosPair({ cut: { after: 1000 } });   // in memory: wire.near ⇄ wire.far
 *     const proxy = await chaosProxy(port, () => chaos);  // real sockets: dial 127.0.0.1:proxy.port
 *     await withSeed((seed) => …)                         // whatever fails in it names the seed
 *
 * What it can do, alone or together: cut (by an end or by a reset) at a byte, after a time, or when `cut()` is called;
 * swallow everything while both ends stay open; deliver in small pieces; delay; limit the rate; flip one bit.
 */
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { duplexPair, type Duplex } from 'node:stream';

/** How a wire breaks: an end without a word, or a reset. */
export type Break = 'fin' | 'rst';
export type Toward = 'far' | 'near';

export interface Chaos {
  /** Breaks after this many bytes toward one end (both ends, each counted by itself, if `toward` is not given). */
  readonly cut?: { readonly after: number; readonly toward?: Toward; readonly how?: Break };
  /** Breaks this many ms after `arm()`; at once if 0. */
  readonly cutAfterMs?: number;
  readonly how?: Break;
  /** From this byte on nothing is delivered, in neither direction, and nothing closes. */
  readonly blackhole?: { readonly after: number };
  /** Bytes of the largest piece that is delivered. Sizes between one and this are drawn by `seed`. */
  readonly pieces?: number;
  /** ms that each byte is on its way, one way. */
  readonly delay?: number;
  /** Bytes per second and direction. */
  readonly rate?: number;
  /** The number of the bit that arrives wrong; eight for each byte, the highest of a byte first. */
  readonly flip?: { readonly bit: number; readonly toward: Toward };
  readonly seed?: number;
}

/** Bytes on their way before a slow wire stops reading. */
const IN_FLIGHT = 8 * 1024 * 1024;

/** Numbers from 0 to 1, always the same for a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Runs with a seed (that of the environment, `SLUICE_SEED`, or a new one); an error that comes out of it names it. */
export async function withSeed<T>(run: (seed: number) => Promise<T>): Promise<T> {
  const seed = Number(process.env['SLUICE_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
  try {
    return await run(seed);
  } catch (cause) {
    throw new Error(`${(cause as Error).message} (again with SLUICE_SEED=${seed})`, { cause });
  }
}

function flipBit(chunk: Buffer, bit: number): Buffer {
  const copy = Buffer.from(chunk);
  copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (0x80 >> (bit & 7)), bit >> 3);
  return copy;
}

/** One direction of a wire. */
class Lane {
  /** Bytes that came in, and that went out. */
  taken = 0;
  passed = 0;
  readonly #wire: Wire;
  readonly #from: Duplex;
  readonly #to: Duplex;
  readonly #chaos: Chaos;
  readonly #toward: Toward;
  readonly #random: () => number;
  readonly #waiting: { readonly due: number; readonly chunk: Buffer | undefined }[] = [];
  #inFlight = 0;
  #timer: NodeJS.Timeout | undefined;
  #busyUntil = 0;

  constructor(wire: Wire, from: Duplex, to: Duplex, chaos: Chaos, toward: Toward) {
    this.#wire = wire;
    this.#from = from;
    this.#to = to;
    this.#chaos = chaos;
    this.#toward = toward;
    this.#random = seeded((chaos.seed ?? 0) + (toward === 'far' ? 0 : 1));
    from.on('data', (chunk: Buffer) => this.#take(chunk));
    from.once('end', () => this.#take(undefined));
    to.on('drain', () => this.#readOn());
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
  }

  /** @param chunk `undefined` for the end */
  #take(chunk: Buffer | undefined): void {
    if (this.#wire.isBlackhole || this.#wire.isCut) return;
    const { delay = 0, rate, blackhole } = this.#chaos;
    const size = chunk?.length ?? 0;
    this.taken += size;
    if (blackhole !== undefined && this.taken > blackhole.after) return this.#wire.blackhole();
    if (delay === 0 && rate === undefined) return this.#deliver(chunk);
    const now = performance.now();
    this.#busyUntil = Math.max(this.#busyUntil, now) + (rate === undefined ? 0 : (size / rate) * 1000);
    this.#waiting.push({ due: this.#busyUntil + delay, chunk });
    this.#inFlight += size;
    if (this.#inFlight > IN_FLIGHT || (rate !== undefined && this.#busyUntil - now > 50)) this.#from.pause();
    this.#schedule();
  }

  #schedule(): void {
    const [next] = this.#waiting;
    if (next === undefined || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.#deliverDue(), Math.max(0, next.due - performance.now()));
  }

  #deliverDue(): void {
    this.#timer = undefined;
    const now = performance.now();
    while (this.#waiting[0] !== undefined && this.#waiting[0].due <= now + 0.5) {
      const { chunk } = this.#waiting.shift() as { chunk: Buffer | undefined };
      this.#inFlight -= chunk?.length ?? 0;
      this.#deliver(chunk);
    }
    this.#readOn();
    this.#schedule();
  }

  #readOn(): void {
    const isAhead = this.#chaos.rate !== undefined && this.#busyUntil - performance.now() > 50;
    if (this.#inFlight <= IN_FLIGHT && !isAhead && !this.#to.writableNeedDrain) this.#from.resume();
  }

  #deliver(chunk: Buffer | undefined): void {
    if (this.#wire.isCut || this.#wire.isBlackhole || !this.#to.writable) return;
    if (chunk === undefined) return void this.#to.end();
    const { cut } = this.#chaos;
    const isOurs = cut !== undefined && (cut.toward ?? this.#toward) === this.#toward;
    const left = isOurs ? cut.after - this.passed : Number.POSITIVE_INFINITY;
    this.#write(this.#damage(chunk.subarray(0, left)));
    if (chunk.length >= left) this.#wire.cut(cut?.how);
  }

  #damage(chunk: Buffer): Buffer {
    const { flip } = this.#chaos;
    const bit = flip?.toward === this.#toward ? flip.bit - this.passed * 8 : -1;
    this.passed += chunk.length;
    return bit >= 0 && bit < chunk.length * 8 ? flipBit(chunk, bit) : chunk;
  }

  #write(chunk: Buffer): void {
    const { pieces } = this.#chaos;
    if (pieces === undefined) {
      if (!this.#to.write(chunk)) this.#from.pause();
      return;
    }
    for (let at = 0; at < chunk.length;) {
      const size = 1 + Math.floor(this.#random() * pieces);
      if (!this.#to.write(chunk.subarray(at, at + size))) this.#from.pause();
      at += size;
    }
  }
}

/** Moves bytes between two streams, badly. Owns both. */
export class Wire {
  isCut = false;
  isBlackhole = false;
  readonly #lanes: readonly [Lane, Lane];
  readonly #ends: readonly [Duplex, Duplex];
  readonly #chaos: Chaos;
  readonly #reset: (stream: Duplex) => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param reset how one end is broken so that its user sees a reset */
  constructor(near: Duplex, far: Duplex, chaos: Chaos, reset: (stream: Duplex) => void) {
    this.#ends = [near, far];
    this.#chaos = chaos;
    this.#reset = reset;
    for (const end of this.#ends) {
      end.on('error', () => this.cut('rst'));
      end.once('close', () => this.isBlackhole || this.cut(end.errored === null ? 'fin' : 'rst'));
    }
    this.#lanes = [new Lane(this, near, far, chaos, 'far'), new Lane(this, far, near, chaos, 'near')];
    if (chaos.cut?.after === 0) this.cut(chaos.cut.how);
  }

  /** Bytes that arrived at the far end, and at the near one. */
  get toFar(): number {
    return this.#lanes[0].passed;
  }

  get toNear(): number {
    return this.#lanes[1].passed;
  }

  /** Starts the time of `cutAfterMs`. */
  arm(): void {
    const { cutAfterMs } = this.#chaos;
    if (cutAfterMs !== undefined && !this.isCut) this.#timer ??= setTimeout(() => this.cut(), cutAfterMs);
  }

  cut(how: Break = this.#chaos.how ?? 'rst'): void {
    if (this.isCut) return;
    this.isCut = true;
    clearTimeout(this.#timer);
    for (const lane of this.#lanes) lane.stop();
    for (const end of this.#ends) {
      if (how === 'rst') this.#reset(end);
      else end.end();
      end.resume();
    }
  }

  /** From now on nothing arrives, not even that one end has closed. */
  blackhole(): void {
    this.isBlackhole = true;
    for (const lane of this.#lanes) lane.stop();
    for (const end of this.#ends) end.resume();
  }
}

export interface ChaosPair {
  readonly near: Duplex;
  readonly far: Duplex;
  readonly wire: Wire;
}

/** Two streams in memory, connected by a wire. Whoever uses them listens for `error`. */
export function chaosPair(chaos: Chaos = {}): ChaosPair {
  const [near, nearWire] = duplexPair();
  const [far, farWire] = duplexPair();
  for (const one of [near, far]) one.on('error', () => {});
  const reset = (stream: Duplex): void => {
    (stream === nearWire ? near : far).destroy(Object.assign(new Error('the wire was cut'), { code: 'ECONNRESET' }));
    stream.destroy();
  };
  return { near, far, wire: new Wire(nearWire, farWire, chaos, reset) };
}

export interface ChaosProxy {
  readonly port: number;
  /** Every connection so far, the newest last. */
  readonly wires: readonly Wire[];
  /** While false, connections are closed at once. */
  isOpen: boolean;
  close(): void;
}

const resetSocket = (stream: Duplex): void => void (stream as Socket).resetAndDestroy();

/** A TCP proxy on 127.0.0.1 whose connections misbehave, each as `chaosOf` says for its number. Their clocks run at once. */
export async function chaosProxy(target: number, chaosOf: (connection: number) => Chaos): Promise<ChaosProxy> {
  const wires: Wire[] = [];
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    if (!proxy.isOpen) {
      near.on('error', () => {}).resetAndDestroy();
      return;
    }
    const far = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const wire = new Wire(near, far, chaosOf(wires.length), resetSocket);
    wires.push(wire);
    wire.arm();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const proxy: ChaosProxy = {
    port: (server.address() as AddressInfo).port,
    wires,
    isOpen: true,
    close: () => {
      server.close();
      for (const wire of wires) wire.cut('rst');
    },
  };
  return proxy;
}
