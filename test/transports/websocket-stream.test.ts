import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { it } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { MESSAGE_LIMITS, WebSocketStream } from '../../transports/websocket-stream.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

/** Both ends of one WebSocket, as streams that know the end mark. */
async function streamPair(scope: Scope): Promise<[WebSocketStream, WebSocketStream]> {
  const web = new WebSocketServer({ port: 0, host: '127.0.0.1', ...MESSAGE_LIMITS });
  scope.defer(() => web.close());
  await once(web, 'listening');
  const { port } = web.address() as AddressInfo;
  const near = new WebSocket(`ws://127.0.0.1:${port}`, MESSAGE_LIMITS);
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

it('many writes that leave together stay below the limits of the peer’s messages, in bytes and in fragments', async (t) => {
  const [near, far] = await streamPair(new Scope(t));
  const small = Array.from({ length: 200 }, (_, at) => Buffer.alloc(10 * 1024, at));
  const large = Buffer.alloc(3 * 1024 * 1024, 7);
  near.cork();
  for (const chunk of [...small, large]) near.write(chunk);
  near.uncork();
  near.end();
  far.end();
  near.resume();
  assert.ok((await buffer(far)).equals(Buffer.concat([...small, large])));
});
