/** WebSockets with our frames on one side or both, and frames by themselves. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import { writeHeader } from '../../transports/websocket-frames.ts';
import { mask } from '../../transports/websocket-mask.ts';
import type { Upgraded } from '../../transports/websocket-stream.ts';
import { UpgradedWebSocket } from '../../transports/websocket-upgrade.ts';
import type { Scope } from './scope.ts';

/** Both ends of one WebSocket; each an instance of the class given. */
export async function shakeHands<C extends WebSocket, S extends WebSocket>(
  scope: Scope,
  Client: new (url: string) => C,
  Server: new (...args: never[]) => S,
): Promise<[C, S]> {
  const options = { noServer: true, WebSocket: Server as unknown as typeof WebSocket };
  const upgrader = new WebSocketServer(options);
  const server = createServer().listen(0, '127.0.0.1');
  scope.defer(() => server.close());
  await once(server, 'listening');
  const accepted = Promise.withResolvers<S>();
  server.on('upgrade', (request, socket, head) =>
    upgrader.handleUpgrade(request, socket, head, (ws) => accepted.resolve(ws as unknown as S)),
  );
  const client = new Client(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const [far] = await Promise.all([accepted.promise, once(client, 'open')]);
  return [client, far];
}

/** What our side has after a handshake. */
export function upgraded(ws: UpgradedWebSocket, isClient: boolean): Upgraded {
  if (ws.upgraded === undefined) throw new Error('not upgraded');
  return { ...ws.upgraded, isClient };
}

export const KEY = Buffer.from('a1b2c3d4', 'hex');

/** A frame with these bits in its first byte, as a client or a server sends it. */
export function frame(first: number, payload: Buffer | string = '', key?: Buffer): Buffer {
  const bytes = Buffer.from(payload);
  const target = Buffer.alloc(14 + bytes.length);
  const start = writeHeader(target, 0, first & 0x0f, bytes.length, key);
  target[0] = first;
  if (key === undefined) bytes.copy(target, start);
  else mask(bytes, key, target, start);
  return target.subarray(0, start + bytes.length);
}

/** So many bytes, soon told from others. */
export const bytesOf = (length: number): Buffer => Buffer.alloc(length, `${length} bytes, `);
