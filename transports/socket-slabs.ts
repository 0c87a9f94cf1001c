/**
 * Reads a socket into slabs, and hands on together what has come together. Node makes a buffer for each read, and TLS reads a
 * record of at most 16 KiB: at full rate these, with an event and a piece for each, were a tenth of what a gateway computes.
 *
 * It is switched on through fields of Node's sockets that are not public, as in core/pump.ts: they are found by trying, and
 * where they are not as expected, `data` is listened for: slower, the same otherwise.
 */
import { Socket } from 'node:net';

/** Bytes. */
const SLAB = 256 * 1024;
/** Bytes of a full record of TLS. One is seldom alone, so it waits for the end of the turn. */
const RECORD = 16 * 1024;
/** Bytes below which a copy is handed on: whoever sends little by little must not fill slabs, nor keep them. */
const SMALL = 4 * 1024;

/** The fields that `new Socket({ onread })` fills in. */
interface ReadFields {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly generator: symbol;
}

function findReadFields(): ReadFields | undefined {
  const onread = { onread: { buffer: () => Buffer.alloc(1), callback: () => true } }; // not yet in Node's types
  const [plain, template] = [new Socket(), new Socket(onread)];
  const named = (name: string): symbol | undefined =>
    Object.getOwnPropertySymbols(template).find((symbol) => symbol.description === name && symbol in plain);
  const found = { buffer: named('kBuffer'), callback: named('kBufferCb'), generator: named('kBufferGen') };
  plain.destroy();
  template.destroy();
  const isComplete = Object.values(found).every((symbol) => symbol !== undefined);
  return isComplete ? (found as ReadFields) : undefined;
}

let fields: ReadFields | undefined | null = null;

type OpenSocket = Socket & { _handle?: { useUserBuffer?(buffer: Buffer): void } | null } & Record<symbol, unknown>;

/** @param read gets all bytes as its own, in their order, the last before any later listener for `end` or `close` */
export function readInSlabs(socket: Socket, read: (bytes: Buffer) => void): void {
  if (fields === null) fields = findReadFields();
  const open = socket as OpenSocket;
  const isUntouched = socket.readableLength === 0 && socket.readableFlowing !== true;
  if (fields === undefined || typeof open._handle?.useUserBuffer !== 'function' || !isUntouched)
    return void socket.on('data', read);
  const slabs = new Slabs(read);
  open[fields.buffer] = slabs.room();
  open[fields.generator] = () => slabs.room();
  open[fields.callback] = (count: number): boolean => {
    slabs.filled(count);
    return !socket.isPaused();
  };
  socket.once('end', () => slabs.flush());
  socket.once('close', () => slabs.flush());
  open._handle.useUserBuffer(open[fields.buffer] as Buffer);
}

class Slabs {
  readonly #read: (bytes: Buffer) => void;
  #slab = Buffer.allocUnsafeSlow(SLAB);
  /** Where what is not handed on begins, and ends. */
  #start = 0;
  #end = 0;
  #waiting: NodeJS.Immediate | undefined;

  constructor(read: (bytes: Buffer) => void) {
    this.#read = read;
  }

  /** Where the next read goes. */
  room(): Buffer {
    if (SLAB - this.#end < RECORD) {
      this.flush();
      this.#slab = Buffer.allocUnsafeSlow(SLAB);
      this.#start = this.#end = 0;
    }
    return this.#slab.subarray(this.#end);
  }

  /** So many bytes were read. */
  filled(count: number): void {
    this.#end += count;
    if (count < RECORD) this.flush();
    else this.#waiting ??= setImmediate(() => this.flush());
  }

  flush(): void {
    clearImmediate(this.#waiting);
    this.#waiting = undefined;
    const bytes = this.#slab.subarray(this.#start, this.#end);
    if (bytes.length >= SMALL) this.#start = this.#end;
    else this.#end = this.#start;
    if (bytes.length > 0) this.#read(bytes.length < SMALL ? Buffer.from(bytes) : bytes);
  }
}
