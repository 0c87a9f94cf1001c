/** Clients of the test's own, one for each medium that a source can listen on. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import { certificates } from '../support/certificates.ts';
import { socketEnd, type End } from './end.ts';
import { SUBPROTOCOL, webSocketEnd } from './websocket-end.ts';

export const SELF = '127.0.0.1';
const ca = (): Buffer => readFileSync(certificates().ca);

export const unixClient = async (path: string): Promise<End> => {
  const socket = connect({ path, allowHalfOpen: true });
  await once(socket, 'connect');
  return socketEnd(socket, () => socket.destroy());
};

export async function tcpClient(host: string, port: number): Promise<End> {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
  await once(socket, 'connect');
  return socketEnd(socket, () => socket.resetAndDestroy());
}

/** Its cut is a FIN without close_notify, which TCP takes for an end. */
export async function tlsClient(port: number): Promise<End> {
  const raw = connect({ host: SELF, port, allowHalfOpen: true, noDelay: true });
  const socket = connectTls({ socket: raw, ca: ca() });
  await once(socket, 'secureConnect');
  return socketEnd(socket, () => socket.destroy());
}

export async function webSocketClient(url: string): Promise<End> {
  const ws = new WebSocket(url, [SUBPROTOCOL], { ca: ca(), perMessageDeflate: false });
  const end = webSocketEnd(ws);
  await once(ws, 'open');
  return end;
}
