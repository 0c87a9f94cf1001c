/** `unix:/path`: UNIX sockets that nobody else can reach, and that never steal a live one (unix-socket-file.ts). */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { defineTransport } from '../plugins/contract/index.ts';
import { receive, type Arrived } from './arrivals.ts';
import { connectSocket } from './connecting.ts';
import { ACCEPT } from './listening.ts';
import { PREFACE_OPTIONS, TRUST_OPTIONS, parseTrust, parseTrusted, prefaceFor, reachBehind } from './proxy-trust.ts';
import { SOCKET_FILE_OPTIONS, parseMode, parseSocketPath, socketOwner } from './unix-options.ts';
import { inspectUnixPeers, unixPeers } from './unix-peer.ts';

export const unix = defineTransport({
  contract: 1,
  name: 'unix',
  schemes: ['unix'],
  grammar: 'unix:/PATH',
  summary: 'UNIX sockets; owner, group and mode are set before the name appears',
  options: { ...SOCKET_FILE_OPTIONS, ...TRUST_OPTIONS, ...PREFACE_OPTIONS },
  capabilities: ['half-close', 'hand-off'],
  diesWithPeer: true,
  personal: ['target'],

  parse: ({ target, options, resolvePath }) => ({
    path: parseSocketPath(target, resolvePath),
    mode: parseMode(options.mode),
    user: options.user,
    group: options.group,
    trusted: parseTrusted(options),
    hasPreface: options['proxy-protocol'],
  }),
  occupies: ({ path }) => `unix:${path}`,
  reach: ({ trusted }) => reachBehind(trusted, 'local'),
  proves: () => ['uid', 'gid'],
  async inspect(address, role, proofs = []) {
    if (role === 'sink') return [];
    const { inspectSocketFile } = await import('./unix-socket-file.ts');
    return [...(await inspectSocketFile(address)), ...(await inspectUnixPeers(proofs))];
  },

  async listen(address, context) {
    const { accept, log, signal, folders } = context;
    const [{ listenAt }, owner] = await Promise.all([import('./unix-socket-file.ts'), socketOwner(address)]);
    const peers = await unixPeers(context.proofs);
    const accepted = ({ raw, peer, arrival, isProxied }: Arrived): void => {
      const own = isProxied ? {} : { handle: raw, ...peers.credentials(raw) }; // the proxy's user is not the client
      accept({ stream: raw, peer: { address: peer }, arrival, ...own });
    };
    const take = receive(context, accepted, { trust: parseTrust(address.trusted), by: 'protocol' });
    const server = createServer(ACCEPT, take);
    const { path, unpublish } = await listenAt(server, address.path, owner, { log, runtime: folders.runtime });
    const stopped = signal.aborted ? Promise.resolve() : once(signal, 'abort');
    const reach = reachBehind(address.trusted, 'local');
    return { address: `unix:${path}`, reach, renew: peers.renew, closed: stopped.then(unpublish) };
  },

  async dial({ path, hasPreface }, context) {
    const stream = await connectSocket({ path }, context.signal);
    const { preface } = prefaceFor(hasPreface, context);
    if (preface !== undefined) stream.write(preface);
    return { stream, peer: { address: `unix:${path}` } };
  },
});
