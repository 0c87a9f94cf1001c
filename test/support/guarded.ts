/** A link that is for some, before a backend that greets and counts who came; and a client that reads through it. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { Identities } from '../../core/identities.ts';
import type { Link, OpenLink } from '../../core/index.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import type { Scope } from './scope.ts';

export interface Guarded {
  readonly far: TestGateway;
  readonly opened: OpenLink;
  readonly address: string;
  /** Connections that the backend has got. */
  accepted(): number;
}

export async function startBackend(scope: Scope): Promise<{ sink: string; accepted(): number }> {
  let accepted = 0;
  const backend = createServer((socket) => {
    accepted += 1;
    socket.on('error', () => {});
    socket.resume().end('hello');
  }).listen(0, '127.0.0.1');
  await once(backend, 'listening');
  scope.defer(() => backend.close());
  return { sink: `tcp://127.0.0.1:${(backend.address() as AddressInfo).port}`, accepted: () => accepted };
}

export async function guard(
  scope: Scope,
  source: string,
  identities: Identities,
  link: Partial<Link> = { allow: ['laptop'] },
): Promise<Guarded> {
  const { sink, accepted } = await startBackend(scope);
  const far = startGateway(scope);
  far.gateway.know(identities);
  const opened = await far.open(source, sink, link);
  return { far, opened, address: opened.listener.address, accepted };
}

/** What a client behind a gateway of its own gets to read through the address. */
export async function readThrough(scope: Scope, near: TestGateway, address: string): Promise<string> {
  const socket = `${scope.folder()}/s`;
  await near.open(`unix:${socket}`, address);
  const client = connect({ path: socket });
  client.on('error', () => {});
  return (await buffer(client).catch(() => Buffer.alloc(0))).toString();
}
