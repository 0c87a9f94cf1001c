/** A far end for transports that start a command: a program that joins its standard input and output to a socket of ours. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { Bench } from './bench.ts';
import type { Connection } from '../plugins/contract/index.ts';

/** An end of the socket is one of standard output; a reset kills the program by a signal, so that it is a cut. */
const SCRIPT = `
const socket = require('node:net').connect({ port: Number(process.argv[1]), host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
socket.on('error', () => process.kill(process.pid, 'SIGKILL'));
process.stdin.on('error', () => {}).pipe(socket);
process.stdout.on('error', () => socket.resetAndDestroy());
process.on('SIGTERM', () => { socket.resetAndDestroy(); process.kill(process.pid, 'SIGKILL'); });
socket.on('data', (chunk) => process.stdout.write(chunk) || socket.pause());
process.stdout.on('drain', () => socket.resume());
socket.on('end', () => process.stdout.write('', () => require('node:fs').closeSync(1)));
process.stderr.write('bridge\\n');`;

export interface Bridge {
  /** The words of its command. */
  readonly words: readonly string[];
  accept(): Promise<Connection>;
}

/** The command of a bridge, and what arrives over it. */
export async function bridgeCommand(bench: Bench): Promise<Bridge> {
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  bench.defer(() => server.close());
  const { port } = server.address() as AddressInfo;
  const accept = async (): Promise<Connection> => {
    const [stream] = (await once(server, 'connection')) as [Socket];
    return { stream, peer: { address: 'bridge' }, abort: () => void stream.resetAndDestroy() };
  };
  return { words: [process.execPath, '-e', SCRIPT, String(port)], accept };
}
