import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { it } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { WebSocketStream } from '../../transports/websocket-stream.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

/** Both ends of one WebSocket, as streams that know the end mark. */
async function streamPair(scope: Scope): Promise<[WebSocketStream, WebSocketStream]> {
  const web = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  scope.defer(() => web.close());
  await once(web, 'listening');
  const { port } = web.address() as AddressInfo;
  const near = new WebSocket(`ws://127.0.0.1:${port}`);
  const [[far]] = (await Promise.all([once(web, 'connection'), once(near, 'open')])) as unknown as [[WebSocket]];
  const options = { marked: true, ping: 0 };
  return [new WebSocketStream(near, options), new WebSocketStream(far, options)];
}

it('an empty write is no end', async (t) => {
  const [near, far] = await streamPair(new Scope(t));
  near.write('a');
  near.write(Buffer.alloc(0));
  near.end('b');
  far.end();
  near.resume();
  assert.equal((await buffer(far)).toString(), 'ab');
});
