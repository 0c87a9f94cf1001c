/**
 * Whose fault it was, once a plugin has been loaded: sockets that are still open when the process ends, and errors that
 * nobody caught, are logged with the name of the transport or layer in whose contract call they began. Without a plugin
 * nothing is watched, and nothing costs anything.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { reasonOf } from './errors.ts';
import { processLog } from './log.ts';

const calls = new AsyncLocalStorage<string>();
const open = new Map<Socket, string>();
/** Where the files of plugins are, for errors that come from no contract call: by the path in their stack. */
const files = new Map<string, string>();
let isWatching = false;

/** Runs a contract call of the transport or layer of this name. */
export const within = <T>(name: string, call: () => T): T => (isWatching ? calls.run(name, call) : call());

function remember(message: unknown): void {
  const { socket } = message as { socket: Socket };
  const name = calls.getStore();
  if (name === undefined) return;
  open.set(socket, name);
  socket.once('close', () => open.delete(socket));
}

const showSocket = ({ remoteAddress, remotePort, connecting }: Socket): string =>
  remoteAddress === undefined ? (connecting ? 'connecting' : 'unix') : `${remoteAddress}:${remotePort}`;

function tellLeftOpen(): void {
  const byName = Map.groupBy(open, ([, name]) => name);
  for (const [transport, sockets] of byName) {
    const where = sockets.slice(0, 5).map(([socket]) => showSocket(socket));
    processLog().warn('sockets were left open', { transport, count: sockets.length, where: where.join(', ') });
  }
}

function tellUncaught(error: unknown): void {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const file = [...files].find(([path]) => stack.includes(path));
  const name = calls.getStore() ?? file?.[1];
  if (name !== undefined)
    processLog().error('uncaught error, the process ends', { plugin: name, reason: reasonOf(error) });
}

/** @param path the plugin's file or folder */
export function watchPlugin(name: string, path: string): void {
  files.set(path, name);
  if (isWatching) return;
  isWatching = true;
  for (const channel of ['net.client.socket', 'net.server.socket']) subscribe(channel, remember);
  process.once('exit', tellLeftOpen);
  process.on('uncaughtExceptionMonitor', tellUncaught);
}
