/**
 * `stdio:`: this process's own standard input and output, once. As a source it is one connection, and the process can
 * end when it is over; what the sink says beside its data goes to standard error, and its exit status becomes ours.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { Duplex, Readable, type Writable } from 'node:stream';
import { defineTransport, type Connection, type ReleasingStream, type Transport } from '../plugins/contract/index.ts';

/** What the command line knows and a transport does not. */
export interface StdioHost {
  /** True after an interrupt that the peer is to notice: the next end of input is then a cut, not an end. */
  interrupted(): boolean;
  /** Told that input has ended: an interrupt cannot be shown to the peer any more. */
  inputEnded?(): void;
  /** Nothing is read from standard input, as by ssh -n. */
  readonly isInputEmpty?: boolean;
  /** Standard output ends with the process, as ssh's does: borg 1 reads nothing more of standard error once it has ended. */
  readonly holdsOutput?: boolean;
}

const isPipe = (fd: number): boolean => {
  const kind = fstatSync(fd);
  return kind.isFIFO() || kind.isSocket();
};

/** Pipes and sockets are read and written without blocking; files and terminals as Node does it. */
const openInput = ({ isInputEmpty }: StdioHost): Readable =>
  isInputEmpty
    ? Readable.from([])
    : isPipe(0)
      ? new Socket({ fd: 0, writable: false, allowHalfOpen: true })
      : process.stdin;
const openOutput = (): Writable =>
  isPipe(1) ? new Socket({ fd: 1, readable: false, allowHalfOpen: true }) : process.stdout;

/** One socket for both directions, as inetd gives it, and sftp and scp: nobody else writes to it after us. */
function isOneSocket(): boolean {
  const [input, output] = [fstatSync(0), fstatSync(1)];
  return output.isSocket() && input.ino === output.ino && input.dev === output.dev;
}

/**
 * The reader sees the end when the descriptor is closed, which Node does not do with 0 to 2. Never is it shut down: a script
 * that started us may go on to write to the same socket. Something takes its number, so that no later file gets what is
 * printed.
 */
function closeOutput(): void {
  closeSync(1);
  openSync('/dev/null', 'r+');
}

/**
 * ms until an end of input is one: it may be that of a pipeline which Ctrl-C has ended, and on a busy machine the signal
 * comes to us later than to those before us. Half an upload must not look complete.
 */
const UNTIL_END = 20;

class StdioStream extends Duplex implements ReleasingStream {
  readonly releasesChunks = true;
  readonly #input: Readable;
  readonly #holdsOutput: boolean;
  readonly #output = openOutput();
  #ending: NodeJS.Timeout | undefined;

  constructor(host: StdioHost) {
    super({ allowHalfOpen: true });
    this.#input = openInput(host);
    this.#holdsOutput = host.holdsOutput ?? false;
    this.#input.on('data', (chunk) => {
      if (!this.push(chunk)) this.#input.pause();
    });
    this.#input.once('end', () => {
      this.#ending = setTimeout(() => {
        if (host.interrupted()) this.destroy(new Error('interrupted'));
        else {
          host.inputEnded?.();
          this.push(null);
        }
      }, UNTIL_END);
    });
    this.#input.on('error', (error) => this.destroy(error));
    this.#output.on('error', (error) => this.destroy(error));
  }

  /** The command has ended, so nobody wants more input: a terminal or pipe that stays open must not keep the process. */
  stopReading(): void {
    this.#input.pause();
    if (this.#input instanceof Socket) this.#input.destroy();
    if (!this.readableEnded) this.destroy();
  }

  override _read(): void {
    this.#input.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#output.write(chunk, done);
  }

  override _final(done: () => void): void {
    if (this.#holdsOutput || this.#output === process.stdout) return done(); // a file or a terminal (a Socket to Node) closes with us
    if (isOneSocket()) {
      this.#output.once('close', done).end(); // closing one of its two descriptors would tell nobody
      return;
    }
    this.#output.once('close', () => {
      closeOutput();
      done();
    });
    this.#output.destroy(); // all that was written is with the kernel
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#ending);
    this.#input.pause();
    if (this.#input instanceof Socket) this.#input.destroy();
    if (this.#output instanceof Socket) this.#output.destroy();
    done(error);
  }
}

/** Stdio serves one connection a process: a second one would share its bytes with the first. */
export function createStdio(host: StdioHost): Transport {
  let used = false;
  const open = (): { stream: StdioStream } & Connection => {
    if (used) throw new Error('standard input and output are in use already');
    used = true;
    return { stream: new StdioStream(host), peer: { address: 'stdio' } };
  };
  return defineTransport({
    contract: 1,
    name: 'stdio',
    schemes: ['stdio'],
    grammar: 'stdio:',
    summary: 'this process’s standard input and output, once',
    options: {},
    capabilities: ['half-close', 'tells-cut', 'diagnostics', 'exit-status'],
    diesWithPeer: true,
    servesOnce: true,
    reach: () => 'local',

    parse({ target }) {
      if (target !== '') throw new Error(`nothing may follow "stdio:", got ${JSON.stringify(target)}`);
      return {};
    },
    occupies: () => 'stdio:',

    async listen(_address, { accept }) {
      const { stream, peer } = open();
      const exited = (): void => stream.stopReading();
      setImmediate(accept, { stream, peer, exited, diagnostics: process.stderr });
      return { address: 'stdio:', reach: 'local', closed: new Promise((resolve) => setImmediate(resolve)) };
    },

    async dial() {
      return open();
    },
  });
}
