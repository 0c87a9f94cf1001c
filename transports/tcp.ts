/** `tcp://HOST:PORT`: no Nagle, keepalive, happy eyeballs; a cut is a reset. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { defineTransport } from '../plugins/contract/index.ts';
import { boundHostPort, formatHostPort, parseHostPort, reachOf, reachOfHost } from './host-port.ts';
import { ACCEPT, bind, closedBy, connected, peerAddress, tune } from './listening.ts';

export const TCP_OPTIONS = {
  keepalive: {
    type: 'duration',
    default: 15_000,
    help: 'silence after which the kernel probes the peer; it does not find a peer that dies while data is in flight',
  },
} as const;

/** RST: the peer sees a reset, and cannot take it for an end. */
export const reset = (socket: Socket) => (): void => {
  socket.resetAndDestroy();
};

export const tcp = defineTransport({
  contract: 1,
  name: 'tcp',
  schemes: ['tcp'],
  grammar: 'tcp://HOST:PORT',
  summary: 'plain TCP; port 0 picks a free one and the log tells it',
  options: TCP_OPTIONS,
  capabilities: ['half-close', 'tells-cut', 'hand-off'],

  parse: ({ target, role, options }) => ({ ...parseHostPort(target, role), ...options }),
  reach: ({ host }) => reachOfHost(host),
  occupies: (address) => (address.port === 0 ? undefined : `tcp ${formatHostPort(address)}`),

  async listen({ host, port, keepalive }, { accept, log, signal }) {
    const server = createServer(ACCEPT, (socket) => {
      tune(socket, keepalive);
      accept({ stream: socket, handle: socket, peer: { address: peerAddress(socket) }, abort: reset(socket) });
    });
    await bind(server, { host, port }, log);
    const bound = boundHostPort(server.address() as AddressInfo);
    return { address: `tcp://${formatHostPort(bound)}`, reach: reachOf(bound.host), closed: closedBy(server, signal) };
  },

  async dial({ host, port, keepalive }, { signal }) {
    const socket = connect({ host, port, signal, allowHalfOpen: true });
    await connected(socket);
    tune(socket, keepalive);
    return { stream: socket, peer: { address: `tcp://${formatHostPort({ host, port })}` }, abort: reset(socket) };
  },
});
