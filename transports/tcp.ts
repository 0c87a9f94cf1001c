/** `tcp://HOST:PORT`: no Nagle, keepalive, happy eyeballs; a cut is a reset. */
import { createServer, type AddressInfo } from 'node:net';
import { defineTransport } from '../plugins/contract/index.ts';
import { receive, type Arrived } from './arrivals.ts';
import { reset } from './connecting.ts';
import { boundHostPort, formatHostPort, parseHostPort, reachOf } from './host-port.ts';
import { ACCEPT, bind, closedBy, tune } from './listening.ts';
import { inspectProxy, reachThrough, viaOf } from './proxy-environment.ts';
import { PROXY_OPTIONS, parseProxy } from './proxy-options.ts';
import { PREFACE_OPTIONS, TRUST_OPTIONS, parseTrust, parseTrusted, prefaceFor, reachBehind } from './proxy-trust.ts';
import { dialTcp } from './tcp-dial.ts';

export const TCP_OPTIONS = {
  keepalive: {
    type: 'duration',
    default: 15_000,
    help: 'silence after which the kernel probes the peer; it does not find a peer that dies while data is in flight',
  },
} as const;

export const tcp = defineTransport({
  contract: 1,
  name: 'tcp',
  schemes: ['tcp'],
  grammar: 'tcp://HOST:PORT',
  summary: 'plain TCP; port 0 picks a free one and the log tells it',
  options: { ...TCP_OPTIONS, ...PROXY_OPTIONS, ...TRUST_OPTIONS, ...PREFACE_OPTIONS },
  capabilities: ['half-close', 'tells-cut', 'hand-off'],

  parse: ({ target, role, options }) => ({
    ...parseHostPort(target, role),
    keepalive: options.keepalive,
    ...parseProxy('tcp', options),
    trusted: parseTrusted(options),
    hasPreface: options['proxy-protocol'],
  }),
  reach: (address) => reachBehind(address.trusted, reachThrough(address)),
  via: (address) => viaOf(address),
  inspect: (address, role) => inspectProxy(address, role),
  occupies: (address) => (address.port === 0 ? undefined : `tcp ${formatHostPort(address)}`),

  async listen({ host, port, keepalive, trusted }, context) {
    const { accept, log, signal } = context;
    const accepted = ({ raw, peer, arrival, isProxied }: Arrived): void =>
      accept({ stream: raw, ...(!isProxied && { handle: raw }), peer: { address: peer }, arrival, abort: reset(raw) });
    const take = receive(context, accepted, { trust: parseTrust(trusted), by: 'protocol' });
    const server = createServer(ACCEPT, (socket) => take(tune(socket, keepalive)));
    await bind(server, { host, port }, log);
    const bound = boundHostPort(server.address() as AddressInfo);
    const reach = reachBehind(trusted, reachOf(bound.host));
    return { address: `tcp://${formatHostPort(bound)}`, reach, closed: closedBy(server, signal) };
  },

  async dial(address, context) {
    const { socket, abort } = await dialTcp({ ...address, ...prefaceFor(address.hasPreface, context) }, context);
    return { stream: socket, peer: { address: `tcp://${formatHostPort(address)}` }, abort };
  },
});
