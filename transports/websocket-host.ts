/**
 * One HTTP server for all links on one host:port (or one UNIX socket), told apart by their paths. It answers nothing
 * but upgrades: an unknown path is 404, a web page of another origin 403. Whoever does not finish the head of its
 * request in ten seconds is cut, however steadily it sends.
 *
 * Loaded when a link needs it: `node:http` alone takes as long to load as all the rest of us.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server as HttpServer } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type Server } from 'ws';
import type { Admitted, Arrival, Credentials, Log } from '../plugins/contract/index.ts';
import { forwardedFor, type Trust } from './proxy-trust.ts';
import type { Upgraded } from './websocket-stream.ts';
import { UpgradedWebSocket } from './websocket-upgrade.ts';

/** ms from the connection to the whole head of its request. */
const HEAD_DEADLINE = 10_000;

const HTTP_LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 500, // Node's default looks every 30 s, and cuts only then
  maxHeaderSize: 8_192,
  keepAliveTimeout: 5_000,
} as const;

/** One link's path on the host. */
export interface Route {
  readonly origins: readonly string[];
  /** The subprotocols that it speaks, the best first. */
  readonly subprotocols: readonly string[];
  readonly log: Log;
  /** Who shows this, if they may connect. */
  admit(credentials: Credentials, peer: string): Admitted | undefined;
  accept(upgraded: Upgraded, subprotocol: string, visitor: Visitor): void;
}

/** Who is on a connection, as far as it is known before a request comes, and then with what the request shows. */
export interface Visitor {
  readonly peer: string;
  readonly arrival: Arrival;
  readonly credentials: Credentials;
  /** It is a trusted proxy, whose X-Forwarded-For tells where a connection comes from. */
  readonly trust: Trust | undefined;
}

const STATUS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
};

export class WebSocketHost {
  readonly server: HttpServer;
  readonly #routes = new Map<string, Route>();
  readonly #upgrader: Server<typeof UpgradedWebSocket>;
  readonly #visitors = new WeakMap<Duplex, Visitor>();
  readonly #deadlines = new WeakMap<Duplex, NodeJS.Timeout>();
  readonly #speak: (socket: Duplex) => void;

  /** Not yet listening: the caller binds `server`. @param receive takes accepted sockets, and gives them back by `welcome` */
  constructor(receive: (raw: Socket) => void) {
    const server = createHttpServer(HTTP_LIMITS);
    this.server = server;
    // HTTP begins when we say so: after the core has let the connection go on, and after TLS
    const [speak] = server.listeners('connection');
    this.#speak = (socket) => Reflect.apply(speak as (socket: Duplex) => void, server, [socket]);
    server.removeAllListeners('connection').on('connection', receive);
    this.#upgrader = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      handleProtocols: (offered, request) => this.#choose(offered, request),
      perMessageDeflate: false,
      WebSocket: UpgradedWebSocket,
    });
    server.maxHeadersCount = 64;
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    server.on('request', (request, response) => {
      const known = this.#routes.has(pathOf(request) ?? '');
      response.writeHead(known ? 426 : 404, { connection: 'close', ...(known && { upgrade: 'websocket' }) }).end();
    });
    server.on('clientError', (_error, socket) => socket.destroy());
  }

  /** Speaks HTTP with somebody who has come: on an accepted socket, or on TLS over it. */
  welcome(socket: Duplex, visitor: Visitor): void {
    this.#visitors.set(socket, visitor);
    const deadline = setTimeout(() => socket.destroy(), HEAD_DEADLINE); // Node's own begins with the first byte
    this.#deadlines.set(socket, deadline);
    socket.once('close', () => clearTimeout(deadline));
    this.#speak(socket);
  }

  get isUnused(): boolean {
    return this.#routes.size === 0;
  }

  add(path: string, route: Route): void {
    if (this.#routes.has(path)) throw new Error(`the path ${path} is taken by another link`);
    this.#routes.set(path, route);
  }

  remove(path: string): void {
    this.#routes.delete(path);
  }

  /** The best that both speak; `binary` is what noVNC and its like ask for; otherwise none. */
  #choose(offered: Set<string>, request: IncomingMessage): string | false {
    const spoken = this.#routes.get(pathOf(request) ?? '')?.subprotocols ?? [];
    return [...spoken, 'binary'].find((name) => offered.has(name)) ?? false;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    clearTimeout(this.#deadlines.get(socket));
    socket.on('error', () => {}); // first of all: a reset in the middle of this ends the process otherwise
    const route = this.#routes.get(pathOf(request) ?? '');
    const visited = this.#visitors.get(socket);
    if (route === undefined || visited === undefined) return refuse(socket, 404);
    const known = { ...visited, peer: peerOf(visited, request) };
    const { origin } = request.headers;
    if (origin !== undefined && !route.origins.includes(origin)) {
      route.log.warn('connection refused', { peer: known.peer, reason: `origin ${origin} is not allowed` });
      return refuse(socket, 403);
    }
    const token = tokenOf(request);
    const visitor = token === undefined ? known : { ...known, credentials: { ...known.credentials, token } };
    if (route.admit(visitor.credentials, visitor.peer) === undefined) return refuse(socket, 401);
    this.#upgrader.handleUpgrade(request, socket, head, ({ upgraded, protocol }) => {
      if (upgraded !== undefined) route.accept({ ...upgraded, isClient: false }, protocol, visitor);
    });
  }
}

function refuse(socket: Duplex, status: number): void {
  const challenge = status === 401 ? 'WWW-Authenticate: Bearer\r\n' : '';
  socket.end(`HTTP/1.1 ${status} ${STATUS[status]}\r\n${challenge}Connection: close\r\nContent-Length: 0\r\n\r\n`);
  socket.once('finish', () => (socket as Socket).destroySoon());
}

/** Several headers count as one, in their order. */
function peerOf({ peer, trust }: Visitor, { headersDistinct }: IncomingMessage): string {
  const told = headersDistinct['x-forwarded-for']?.join(',');
  return (trust !== undefined && told !== undefined && forwardedFor(told, trust)) || peer;
}

/** RFC 6750. Another kind of credentials is none. */
const tokenOf = ({ headers }: IncomingMessage): string | undefined =>
  /^Bearer +([\x21-\x7e]+)$/i.exec(headers.authorization ?? '')?.[1];

/** The decoded path of a request, without its query; `undefined` if it is no path. */
function pathOf({ url = '' }: IncomingMessage): string | undefined {
  try {
    return decodeURIComponent(url.split('?', 1)[0] ?? '');
  } catch {
    return undefined;
  }
}
