/**
 * TLS's server side, beside other handshakes and under a deadline: what `tls` sources and the web server of `wss` have in
 * common. Loaded when an address needs it.
 */
import type { X509Certificate } from 'node:crypto';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import type { ClientCertificate, Log } from '../plugins/contract/index.ts';
import type { Arrived } from './arrivals.ts';
import { clientCertificate } from './client-certificate.ts';
import { HANDSHAKE_DEADLINE } from './tls-credentials.ts';
import { createTicketlessServer } from './tls-tickets.ts';
import { RawSide, refuseTruncation } from './tls-truncation.ts';

/** What a source's certificates come to. */
export interface ServerCredentials {
  readonly options: TlsOptions;
  /** Those who may sign the certificates of clients. */
  readonly authorities: readonly X509Certificate[];
}

/** A handshake that is done. */
export interface Secured extends Arrived {
  readonly socket: TLSSocket;
  readonly certificate: ClientCertificate | undefined;
}

export interface TlsServerOptions {
  readonly more: TlsOptions;
  readonly truncationIsEnd: boolean;
  readonly log: Log;
  readonly secured: (secured: Secured) => void;
}

/** What a server's TLS socket runs on. Node has no public word for it, and only by it we know whose handshake it was. */
function carrierOf(socket: TLSSocket): unknown {
  const { _parent, _handle } = socket as { _parent?: unknown; _handle?: { _parentWrap?: { stream?: unknown } } | null };
  return _parent ?? _handle?._parentWrap?.stream; // a socket is its parent itself, any other stream is wrapped
}

export class TlsServer {
  readonly #options: TlsServerOptions;
  #credentials: ServerCredentials;
  #server: Server;
  readonly #pending = new Map<unknown, { arrived: Arrived; timer: NodeJS.Timeout }>();

  constructor(credentials: ServerCredentials, options: TlsServerOptions) {
    this.#options = options;
    this.#credentials = credentials;
    this.#server = this.#create(credentials);
  }

  /** For handshakes from now on; connections that are secured stay so. @returns whether there was anything new */
  renew(credentials: ServerCredentials): boolean {
    if (JSON.stringify(credentials.options) === JSON.stringify(this.#credentials.options)) return false;
    this.#server = this.#create(credentials); // a new one: Node's own way (`setSecureContext`) leaves half of the options
    this.#credentials = credentials;
    return true;
  }

  handshake(arrived: Arrived): void {
    const { raw } = arrived;
    const under = this.#options.truncationIsEnd ? raw : new RawSide(raw);
    under.on('error', () => {});
    const timer = setTimeout(() => raw.destroy(), HANDSHAKE_DEADLINE);
    under.once('close', () => {
      clearTimeout(timer);
      this.#pending.delete(under);
    });
    this.#pending.set(under, { arrived, timer });
    this.#server.emit('connection', under);
  }

  #create({ options }: ServerCredentials): Server {
    const { log, more } = this.#options;
    const create = options.requestCert ? createTicketlessServer : createServer;
    const server = create({ ...options, ...more, allowHalfOpen: true });
    server.on('secureConnection', (socket) => this.#onSecured(socket));
    server.on('tlsClientError', (error, socket) => {
      const arrived = this.#settle(socket);
      arrived?.raw.destroy();
      log.debug('handshake failed', { peer: arrived?.peer, reason: error.message });
    });
    return server;
  }

  #onSecured(socket: TLSSocket): void {
    const arrived = this.#settle(socket);
    if (arrived === undefined) return void socket.destroy(new Error('a handshake that nobody began'));
    const certificate = clientCertificate(socket, () => this.#credentials.authorities);
    this.#options.secured({ ...arrived, socket, certificate });
  }

  #settle(socket: TLSSocket): Arrived | undefined {
    const under = carrierOf(socket);
    const pending = this.#pending.get(under);
    this.#pending.delete(under);
    clearTimeout(pending?.timer);
    if (under instanceof RawSide) refuseTruncation(socket, under);
    return pending?.arrived;
  }
}
