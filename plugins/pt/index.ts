/**
 * `pt://HOST:PORT`: through a pluggable transport of Tor, version 1: as Debian's obfs4proxy, which makes of a stream what looks
 * like nothing. The program is started by us, one for each source, and one for all connections of a sink.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { defineTransport } from 'sluice/plugin';
import { KeptProgram } from './kept.ts';
import { startManaged, type Managed } from './managed.ts';
import { connectBySocks } from './socks.ts';

/** `local` only for what never leaves this machine. */
const reachOf = (host: string): 'local' | 'network' =>
  host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host) ? 'local' : 'network';

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));

/** A program that has a client's part; started by the first dial, and it ends a while after the last connection. */
class Client {
  #program: Promise<Managed> | undefined;
  #users = 0;
  readonly #start: () => Promise<Managed>;

  constructor(start: () => Promise<Managed>) {
    this.#start = start;
  }

  async use(): Promise<Managed> {
    this.#users += 1;
    this.#program ??= this.#start();
    const started = this.#program;
    try {
      const program = await started;
      void program.ended.then(() => this.#forget(started));
      return program;
    } catch (error) {
      this.#users -= 1;
      this.#forget(started);
      throw error;
    }
  }

  #forget(program: Promise<Managed>): void {
    if (this.#program === program) this.#program = undefined;
  }

  release(): void {
    this.#users -= 1;
    if (this.#users > 0 || this.#program === undefined) return;
    const last = this.#program;
    this.#forget(last);
    void last.then((program) => program.stop());
  }
}

export default defineTransport({
  contract: 1,
  name: 'pt',
  schemes: ['pt'],
  grammar: 'pt://HOST:PORT',
  summary: 'through a pluggable transport of Tor, as obfs4proxy',
  options: {
    transport: { type: 'string', default: 'obfs4', help: 'which one the program is to speak' },
    program: { type: 'string', default: 'obfs4proxy', help: 'the program, by its name or path' },
    arg: { type: 'map', role: 'sink', help: 'what the server has told: cert=…, iat-mode=0; may be repeated' },
    state: { type: 'path', role: 'source', help: 'folder for its keys; by default in the state folder of Sluice' },
  },
  capabilities: [],
  caveats: [
    'over pt: an end of one direction ends both, and a cut looks like an end; a session (session=yes) tells them',
  ],

  parse({ target, options, role }) {
    const [, host = '', port = ''] = /^(\[[^\]]+\]|[^:[\]/@]+):(\d{1,5})$/.exec(target) ?? [];
    if (host === '' || Number(port) > 65_535) throw new Error(`expected HOST:PORT, got ${JSON.stringify(target)}`);
    if (role === 'sink' && Number(port) === 0) throw new Error('port 0 cannot be dialed');
    const { transport, program, arg, state } = options;
    const client = { current: undefined as Client | undefined };
    return { host: host.replaceAll(/[[\]]/g, ''), port: Number(port), transport, program, arg, state, client };
  },
  reach: ({ host }) => reachOf(host),
  occupies: ({ host, port }) => (port === 0 ? undefined : `tcp ${host}:${port}`),

  async listen({ host, port, transport, program, state }, { accept, log, signal, folders }) {
    let open = 0;
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (stream) => {
      open += 1;
      stream.once('close', () => (open -= 1));
      accept({ stream, peer: { address: transport } });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    server.on('error', (error) => log.warn('accept failed', { reason: error.message }));
    const folder = state ?? join(folders.state, 'pt', `${transport}-${host}-${port}`);
    const start = (at: number): Promise<Managed> =>
      startManaged(program, transport, folder, {
        TOR_PT_SERVER_TRANSPORTS: transport,
        TOR_PT_SERVER_BINDADDR: `${transport}-${host.includes(':') ? `[${host}]` : host}:${at}`,
        TOR_PT_ORPORT: `127.0.0.1:${(server.address() as AddressInfo).port}`,
      });
    const managed = await start(port).catch((error: unknown) => {
      server.close();
      throw error;
    });
    const kept = new KeptProgram(managed, () => start(portOf(managed.address)), log);
    /** The program cannot stop listening alone: it goes on until its last connection is over, and nobody new is let in. */
    const keep = async (): Promise<void> => {
      try {
        await kept.keep(signal);
      } finally {
        const unused = once(server.close(), 'close').then(() => kept.stop());
        if (open === 0) await unused;
      }
    };
    const args = (managed.args ?? '').split(',').filter((one) => one !== '');
    const query = args.map((one) => `&arg=${one.replaceAll(/[%&#]/g, encodeURIComponent)}`).join('');
    const bound = `pt://${managed.address}`;
    return { address: bound, reach: reachOf(host), dial: `${bound}?transport=${transport}${query}`, closed: keep() };
  },

  async dial({ host, port, transport, program, arg, client }, { signal, folders }) {
    client.current ??= new Client(() =>
      startManaged(program, transport, join(folders.state, 'pt', `${transport}-client`), {
        TOR_PT_CLIENT_TRANSPORTS: transport,
      }),
    );
    const shared = client.current;
    signal.throwIfAborted();
    const { address } = await shared.use();
    const socket = connect({ port: portOf(address), host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    socket.once('close', () => shared.release());
    const giveUp = (): void => void socket.destroy();
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    try {
      await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
      await connectBySocks(socket, host, port, arg);
      return { stream: socket, peer: { address: `pt://${host}:${port}` } };
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  },
});
