/** Every sink of the table, with a server of the test's own behind it. */
import { once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import { certificates } from '../support/certificates.ts';
import type { Scope } from '../support/scope.ts';
import { socketEnd, type End } from './end.ts';
import type { Target } from './started.ts';
import { SUBPROTOCOL, webSocketEnd } from './websocket-end.ts';

export interface PreparedSink {
  readonly target: Target;
  /** The next connection that the gateway dials. */
  accept(): Promise<End>;
}

export interface Sink {
  readonly name: string;
  /** The scheme whose capabilities hold for it. */
  readonly medium: string;
  /** Absent for stdio: the end is the command's own standard input and output. */
  prepare?(scope: Scope): Promise<PreparedSink>;
}

const SELF = '127.0.0.1';
const LOOPBACK = { host: SELF, port: 0 };
const HALF_OPEN = { allowHalfOpen: true, noDelay: true };
const ca = (): string => `ca=${certificates().ca}`;

const keyPair = (): { cert: Buffer; key: Buffer } => {
  const { cert, key } = certificates().server;
  return { cert: readFileSync(cert), key: readFileSync(key) };
};

/** Listens until the scope ends. Resolves with the port, if there is one. */
async function listen(scope: Scope, server: Server | HttpServer, where: ListenOptions): Promise<number> {
  server.listen(where);
  await once(server, 'listening');
  scope.defer(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/**
 * The next connection. Its listeners are there in the same tick, because its first bytes may be too; it is used a
 * little later, because a TLS server that ends inside the handshake's own callback sends no close_notify.
 */
const next = <T>(subscribe: (taken: (connection: T) => void) => unknown, hold: (connection: T) => End): Promise<End> =>
  new Promise((resolve) => subscribe((connection) => setImmediate(resolve, hold(connection))));

const resettable = (socket: Socket): End => socketEnd(socket, () => socket.resetAndDestroy());
const destroyable = (socket: Socket): End => socketEnd(socket, () => socket.destroy());

const unix: Sink = {
  name: 'unix',
  medium: 'unix',
  async prepare(scope) {
    const path = `${scope.folder()}/s`;
    const server = createServer(HALF_OPEN);
    await listen(scope, server, { path });
    return {
      target: { address: `unix:${path}` },
      accept: () => next((taken) => server.once('connection', taken), destroyable),
    };
  },
};

async function tcpServer(scope: Scope): Promise<{ port: number; accept: () => Promise<End> }> {
  const server = createServer(HALF_OPEN);
  const port = await listen(scope, server, LOOPBACK);
  return { port, accept: () => next((taken) => server.once('connection', taken), resettable) };
}

const tcp: Sink = {
  name: 'tcp',
  medium: 'tcp',
  async prepare(scope) {
    const { port, accept } = await tcpServer(scope);
    return { target: { address: `tcp://${SELF}:${port}` }, accept };
  },
};

/** Its cut is a FIN without close_notify, which TCP takes for an end. */
const tls: Sink = {
  name: 'tls',
  medium: 'tls',
  async prepare(scope) {
    const server = createTlsServer({ ...HALF_OPEN, ...keyPair() });
    const port = await listen(scope, server, LOOPBACK);
    const accept = () => next((taken) => server.once('secureConnection', taken), destroyable);
    return { target: { address: `tls://${SELF}:${port}?${ca()}` }, accept };
  },
};

const webSocket = (medium: string, create: () => HttpServer, place: (scope: Scope) => ListenOptions): Sink => ({
  name: medium,
  medium,
  async prepare(scope) {
    const http = create();
    const server = new WebSocketServer({ server: http, handleProtocols: () => SUBPROTOCOL, perMessageDeflate: false });
    const where = place(scope);
    const port = await listen(scope, http, where);
    const address = where.path === undefined ? `${medium}://${SELF}:${port}/matrix` : `${medium}:${where.path}:/matrix`;
    const accept = () => next((taken) => server.once('connection', taken), webSocketEnd);
    return { target: { address: medium === 'wss' ? `${address}?${ca()}` : address }, accept };
  },
});

const exec = (name: string, handoff?: 'never'): Sink => ({
  name,
  medium: 'exec',
  async prepare(scope) {
    const { port, accept } = await tcpServer(scope);
    const command = `exec:"${process.execPath}" "${join(import.meta.dirname, 'bridge.ts')}" ${port}`;
    return { target: { address: command, ...(handoff && { handoff }) }, accept };
  },
});

export const SINKS: readonly Sink[] = [
  unix,
  tcp,
  tls,
  webSocket('ws', createHttpServer, () => LOOPBACK),
  webSocket(
    'wss',
    () => createHttpsServer(keyPair()),
    () => LOOPBACK,
  ),
  webSocket('ws+unix', createHttpServer, (scope) => ({ path: `${scope.folder()}/s` })),
  { name: 'stdio', medium: 'stdio' },
  exec('exec with pipes', 'never'),
  exec('exec, handed off where it can be'),
];
