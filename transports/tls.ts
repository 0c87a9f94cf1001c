/** `tls://HOST:PORT`: TLS 1.3 over TCP (tls-connection.ts). */
import { createServer, type AddressInfo } from 'node:net';
import { defineTransport } from '../plugins/contract/index.ts';
import { receive } from './arrivals.ts';
import { reset } from './connecting.ts';
import { boundHostPort, formatHostPort, parseHostPort, reachOf } from './host-port.ts';
import { ACCEPT, bind, closedBy, tune } from './listening.ts';
import { inspectProxy, reachThrough, viaOf } from './proxy-environment.ts';
import { PROXY_OPTIONS, parseProxy } from './proxy-options.ts';
import { PREFACE_OPTIONS, TRUST_OPTIONS, parseTrust, parseTrusted, prefaceFor, reachBehind } from './proxy-trust.ts';
import { TCP_OPTIONS } from './tcp.ts';
import { TLS_OPTIONS, parseTlsNames, pinnedAddress, provenBy } from './tls-options.ts';

const loadTls = () => Promise.all([import('./tls-serve.ts'), import('./tls-connection.ts')]);

export const tls = defineTransport({
  contract: 1,
  name: 'tls',
  schemes: ['tls'],
  grammar: 'tls://HOST:PORT',
  summary: 'TLS 1.3; the server is verified, clients too where the source has a ca',
  options: {
    ...TLS_OPTIONS,
    ...TCP_OPTIONS,
    ...TRUST_OPTIONS,
    ...PREFACE_OPTIONS,
    ...PROXY_OPTIONS,
    truncation: {
      type: 'choice',
      values: ['cut', 'end'],
      default: 'cut',
      help: 'what a peer that closes without close_notify has done; "end" is faster and for peers that never send one',
    },
  },
  capabilities: ['half-close', 'proves-end', 'tells-cut'],
  negotiates: true,
  encrypts: true,

  parse: (input) => ({
    ...parseHostPort(input.target, input.role),
    ...parseTlsNames(input),
    ...parseProxy('tls', input.options),
    keepalive: input.options.keepalive,
    trusted: parseTrusted(input.options),
    hasPreface: input.options['proxy-protocol'],
    truncationIsEnd: input.options.truncation === 'end',
  }),
  reach: (address) => reachBehind(address.trusted, reachThrough(address)),
  via: (address) => viaOf(address),
  proves: (address) => provenBy(address),
  occupies: (address) => (address.port === 0 ? undefined : `tcp ${formatHostPort(address)}`),
  inspect: async (address, role) => [
    ...(await (await import('./tls-credentials.ts')).inspectTls(address)),
    ...(await inspectProxy(address, role)),
  ],

  async listen(address, context) {
    const { accept, log, signal, protocols } = context;
    const [{ TlsServer }, { agreed, alpnFor, cut, readSource, renewal }] = await loadTls();
    const { credentials, pin } = await readSource(address, context);
    const secure = new TlsServer(credentials, {
      more: { ...alpnFor(protocols), pauseOnConnect: true },
      truncationIsEnd: address.truncationIsEnd,
      log,
      secured: ({ socket, raw, peer, arrival, certificate }) => {
        if (signal.aborted) {
          raw.destroy(); // it was still in its handshake when the source stopped
          return;
        }
        const shown = certificate && { credentials: { certificate } };
        accept({
          stream: socket,
          peer: { address: peer },
          arrival,
          abort: cut(socket, reset(raw)),
          ...agreed(socket),
          ...shown,
        });
      },
    });
    const trust = parseTrust(address.trusted);
    const take = receive(context, (arrived) => secure.handshake(arrived), { trust, by: 'protocol' });
    const server = createServer(ACCEPT, (raw) => take(tune(raw, address.keepalive)));
    await bind(server, { host: address.host, port: address.port }, log);
    const bound = boundHostPort(server.address() as AddressInfo);
    return {
      address: `tls://${formatHostPort(bound)}`,
      ...(pin === undefined ? {} : { dial: pinnedAddress('tls', bound.host, bound.port, '', pin) }),
      reach: reachBehind(address.trusted, reachOf(bound.host)),
      renew: renewal(address, context, secure),
      closed: closedBy(server, signal),
    };
  },

  async dial(address, context) {
    const [, { agreed, dialTls }] = await loadTls();
    const { socket, abort } = await dialTls(
      { ...address, ...prefaceFor(address.hasPreface, context) },
      context,
      context.protocols,
    );
    const peer = { address: `tls://${formatHostPort(address)}` };
    return { stream: socket, peer, abort, ...agreed(socket) };
  },
});
