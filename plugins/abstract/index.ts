/**
 * `abstract:NAME`: Linux abstract sockets. There is no file, so nothing has to be removed, and nothing says who may connect: any
 * user of the machine can, and any can take the name first. So both ends look at who is at the other.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { defineTransport } from 'sluice/plugin';
import { loadPeerCheck } from './peer.ts';

export default defineTransport({
  contract: 1,
  name: 'abstract',
  schemes: ['abstract'],
  grammar: 'abstract:NAME',
  summary: 'Linux abstract sockets, between users who are named',
  options: {
    uid: { type: 'list', help: 'number of a user who may be at the other end; by default we ourselves and root' },
  },
  capabilities: ['half-close', 'hand-off'],
  diesWithPeer: true,

  parse({ target, options }) {
    if (target === '' || Buffer.byteLength(target) > 106) throw new Error('expected a name of 1 to 106 bytes');
    const wrong = options.uid.find((uid) => !/^\d+$/.test(uid));
    if (wrong !== undefined) throw new Error(`option "uid": expected a number, got ${JSON.stringify(wrong)}`);
    const allowed = options.uid.length > 0 ? options.uid.map(Number) : [process.getuid?.() ?? 0, 0];
    return { name: target, path: `\0${target}`, allowed };
  },
  occupies: ({ name }) => `abstract:${name}`,
  reach: () => 'local',

  async listen({ name, path, allowed }, { accept, log, signal }) {
    const uidOf = await loadPeerCheck();
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      const uid = uidOf(socket);
      if (allowed.includes(uid)) return accept({ stream: socket, handle: socket, peer: { address: `uid ${uid}` } });
      log.warn('connection refused', { peer: `uid ${uid}`, reason: 'this user is not allowed; see the option "uid"' });
      socket.on('error', () => {}).destroy();
    });
    await once(server.listen({ path, backlog: 4096 }), 'listening');
    server.on('error', (error) => log.warn('accept failed', { reason: error.message }));
    const stopped = signal.aborted ? Promise.resolve() : once(signal, 'abort');
    return { address: `abstract:${name}`, reach: 'local', closed: stopped.then(() => void server.close()) };
  },

  async dial({ name, path, allowed }, { signal }) {
    const uidOf = await loadPeerCheck();
    signal.throwIfAborted();
    const socket = connect({ path, signal, allowHalfOpen: true });
    await once(socket, 'connect');
    socket.on('error', () => {});
    const uid = uidOf(socket);
    if (allowed.includes(uid)) return { stream: socket, peer: { address: `abstract:${name}` } };
    socket.destroy();
    throw new Error(`user ${uid} listens there, who is not allowed; see the option "uid"`);
  },
});
