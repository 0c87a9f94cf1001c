/**
 * Reads a socket into memory of ours. What is read little by little goes through one buffer that all sockets share, so that a
 * silent connection costs none; who fills that buffer's first quarter gets room of its own, until little comes again, or nothing for a second.
 *
 * Node offers this (`onread`) only for sockets that it connects itself; for others it is switched on through fields of its
 * sockets that are not public. They are found by trying, so that no name is guessed; where they are not as expected nothing is
 * done, and the caller goes the slower way.
 */
import { Socket } from 'node:net';

/** Bytes of a full record of TLS, and of a read from which on a socket gets room of its own. */
export const FULL_READ = 16 * 1024;
/** Bytes of the buffer that all share: what is read into it is copied. */
const SHARED = 64 * 1024;
/** Reads of less, one after another, after which a socket has room of its own no more: a large one may be followed by a small one. */
const MOST_SMALL = 8;
/** ms between looks for silent sockets. */
const LOOK = 1_000;
/** How often a socket's buffer may be changed between reads: Node keeps 48 bytes of each, until the socket closes. */
const MOST_CHANGES = 1_000;

export interface Reader {
  /** Bytes in the shared buffer, which are there only now. Returns whether to read on. */
  copy(bytes: Buffer): boolean;
  /** Memory for the next read. */
  room(): Buffer;
  /** So many bytes have been read into the room given last. Returns whether to read on. */
  filled(count: number): boolean;
  /** The room given last is not read into. */
  left(): void;
  /** Nothing has come for a while, or the socket is closed: it needs no memory. */
  rested?(): void;
}

/** The fields that `new Socket({ onread })` fills in. */
interface ReadFields {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly generator: symbol;
}

type OpenSocket = Socket & { _handle?: { useUserBuffer?(buffer: Buffer): void } | null } & Record<symbol, unknown>;

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
let sharedByAll: Buffer | undefined;

/** Whether it could be done; the socket begins to read when it is resumed. */
export function readInto(socket: Socket, reader: Reader): boolean {
  if (fields === null) fields = findReadFields();
  const isUntouched = socket.readableLength === 0 && socket.readableFlowing !== true;
  const { _handle: handle } = socket as OpenSocket;
  if (fields === undefined || typeof handle?.useUserBuffer !== 'function' || !isUntouched) return false;
  sharedByAll ??= Buffer.allocUnsafeSlow(SHARED);
  const reads = new Reads(socket, reader, fields, sharedByAll);
  socket.once('close', () => reads.end());
  return true;
}

class Reads {
  readonly #socket: OpenSocket;
  readonly #reader: Reader;
  /** The socket's field for what it reads into. */
  readonly #buffer: symbol;
  readonly #shared: Buffer;
  /** Whether the next read goes into room of its own. */
  #hasRoom = false;
  #isFull = false;
  /** Reads of less than a full one since the last full one. */
  #small = 0;
  #changes = 0;
  /** Something was read since the last look. */
  isBusy = false;

  constructor(socket: Socket, reader: Reader, { buffer, callback, generator }: ReadFields, shared: Buffer) {
    this.#socket = socket as OpenSocket;
    this.#reader = reader;
    this.#buffer = buffer;
    this.#shared = shared;
    this.#socket[generator] = () => this.#next();
    this.#socket[callback] = (count: number) => this.#read(count);
    this.#use(shared);
  }

  #use(buffer: Buffer): void {
    this.#socket[this.#buffer] = buffer;
    this.#socket._handle?.useUserBuffer?.(buffer);
  }

  #read(count: number): boolean {
    this.isBusy = true;
    this.#isFull = count >= FULL_READ;
    return this.#hasRoom ? this.#reader.filled(count) : this.#reader.copy(this.#shared.subarray(0, count));
  }

  #next(): Buffer {
    if (this.#isFull) {
      this.#small = 0;
      this.#hasRoom = true;
      watch(this);
    } else if (this.#hasRoom && (this.#small += 1) > MOST_SMALL) this.#leave();
    return this.#hasRoom ? this.#reader.room() : this.#shared;
  }

  #leave(): void {
    if (this.#hasRoom) this.#reader.left();
    this.#hasRoom = false;
  }

  /** Nothing has come for a while. */
  rest(): void {
    if (this.#hasRoom && this.#changes === MOST_CHANGES) return;
    if (this.#hasRoom) {
      this.#changes += 1;
      this.#use(this.#shared);
    }
    this.end();
  }

  end(): void {
    watched.delete(this);
    this.#leave();
    this.#reader.rested?.();
  }
}

/** Sockets with room of their own; one timer looks after all of them. */
const watched = new Set<Reads>();
let timer: NodeJS.Timeout | undefined;

function watch(reads: Reads): void {
  watched.add(reads);
  timer ??= setInterval(look, LOOK).unref();
}

function look(): void {
  for (const reads of watched) {
    if (!reads.isBusy) reads.rest();
    reads.isBusy = false;
  }
  if (watched.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}
