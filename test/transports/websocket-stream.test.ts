import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { it } from 'node:test';
import { WebSocketStream } from '../../transports/websocket-stream.ts';
import { UpgradedWebSocket } from '../../transports/websocket-upgrade.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { shakeHands, upgraded } from '../support/websockets.ts';

assertNothingLeaks();

const MARKED = { marked: true, ping: 0 } as const;

/** Both ends of one WebSocket, as streams that know the end mark. */
async function streamPair(scope: Scope): Promise<[WebSocketStream, WebSocketStream]> {
  const [near, far] = await shakeHands(scope, UpgradedWebSocket, UpgradedWebSocket);
  return [new WebSocketStream(upgraded(near, true), MARKED), new WebSocketStream(upgraded(far, false), MARKED)];
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
