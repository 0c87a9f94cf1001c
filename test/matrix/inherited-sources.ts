/** The sources that somebody else has opened: descriptors passed by this process, and by systemd's own program. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { SELF, tcpClient, unixClient } from './clients.ts';
import type { End } from './end.ts';
import type { Source } from './source.ts';
import type { Started } from './started.ts';

const closeOurs = (server: Server): void => void (server.listening && server.close());

const fdListening: Source = {
  name: 'fd, a listening TCP socket',
  medium: 'tcp',
  process: 'all connections',
  async prepare() {
    const server = createServer().listen(0, SELF);
    await once(server, 'listening');
    const address = server.address() as { port: number };
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
    const dial = async (started: Started): Promise<End> => {
      closeOurs(server); // the command has its own copy, and is to be the only one that accepts
      await started.bound();
      return tcpClient(SELF, address.port);
    };
    return { launch: { address: 'fd:3', inherit: fd }, dial };
  },
};

const fdConnection: Source = {
  name: 'fd, a connected UNIX socket',
  medium: 'unix',
  process: 'one connection',
  async prepare(scope) {
    const path = `${scope.folder()}/s`;
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(path);
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = await unixClient(path);
    const [socket] = await accepted;
    server.close();
    const dial = async (): Promise<End> => {
      socket.destroy(); // the command has its own copy
      return client;
    };
    return { launch: { address: 'fd:3', inherit: socket }, dial };
  },
};

const systemdListening: Source = {
  name: 'systemd, Accept=no, a UNIX socket',
  medium: 'unix',
  process: 'all connections',
  async prepare(scope) {
    const path = `${scope.folder()}/s`;
    const dial = async ({ log }: Started): Promise<End> => {
      await log.until(({ message }) => message.startsWith('Listening on'));
      return unixClient(path);
    };
    return {
      launch: { address: 'systemd:main', wrapper: ['systemd-socket-activate', '-l', path, '--fdname=main'] },
      dial,
    };
  },
};

/** Of 127.0.0.0/8 each run has an address for itself, so that the port is free. */
const ownHost = [127, 1 + ((process.pid >> 16) & 63), (process.pid >> 8) & 255, process.pid & 255].join('.');
let lastPort = 20_000;

const systemdConnection: Source = {
  name: 'systemd, Accept=yes, a TCP socket',
  medium: 'tcp',
  process: 'all connections',
  keepsStdio: true,
  async prepare() {
    const at = (lastPort += 1);
    const dial = async ({ log }: Started): Promise<End> => {
      await log.until(({ message }) => message.startsWith('Listening on'));
      return tcpClient(ownHost, at);
    };
    const wrapper = ['systemd-socket-activate', '-l', `${ownHost}:${at}`, '--accept'];
    return { launch: { address: 'systemd:', wrapper }, dial };
  },
};

export const INHERITED_SOURCES: readonly Source[] = [fdListening, fdConnection, systemdListening, systemdConnection];
