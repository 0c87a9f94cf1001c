/** Our WebSocket streams with `ws`, or a bare socket, as their peer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { WebSocket } from 'ws';
import { CLOSE } from '../../transports/websocket-frames.ts';
import { WebSocketStream } from '../../transports/websocket-stream.ts';
import { UpgradedWebSocket } from '../../transports/websocket-upgrade.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { KEY, bytesOf, frame, shakeHands, upgraded } from '../support/websockets.ts';

assertNothingLeaks();

const STREAM = { marked: true, ping: 0 } as const;

/** Our stream with `ws` as its peer. */
async function beside(scope: Scope, we: 'client' | 'server', options = STREAM as { marked: boolean; ping: number }) {
  const isClient = we === 'client';
  const [client, server] = isClient
    ? await shakeHands(scope, UpgradedWebSocket, WebSocket)
    : await shakeHands(scope, WebSocket, UpgradedWebSocket);
  const [ours, peer] = isClient ? [client, server] : [server, client];
  const stream = new WebSocketStream(upgraded(ours as UpgradedWebSocket, isClient), options);
  stream.on('error', () => {});
  scope.defer(() => stream.destroy());
  return { stream, peer };
}

for (const we of ['client', 'server'] as const)
  describe(`beside ws, as a ${we}`, () => {
    const writes = fc.array(fc.integer({ min: 1, max: 120_000 }), { minLength: 1, maxLength: 8 });

    it('all arrives that we write, and then our end', async (t) => {
      const scope = new Scope(t);
      const property = fc.asyncProperty(writes, fc.boolean(), async (lengths, together) => {
        const chunks = lengths.map(bytesOf);
        const { stream, peer } = await beside(scope, we);
        const got: Buffer[] = [];
        const ended = Promise.withResolvers<void>();
        peer.on('message', (message: Buffer) => (message.length === 0 ? ended.resolve() : got.push(message)));
        if (together) stream.cork();
        for (const chunk of chunks) stream.write(chunk);
        stream.end();
        await ended.promise;
        assert.ok(Buffer.concat(got).equals(Buffer.concat(chunks)));
        peer.terminate();
      });
      await fc.assert(property, { numRuns: 15 });
    });

    it('all arrives that it sends, in any fragments, and then its end', async (t) => {
      const scope = new Scope(t);
      const property = fc.asyncProperty(fc.array(writes, { maxLength: 4 }), async (lengths) => {
        const messages = lengths.map((fragments) => fragments.map(bytesOf));
        const { stream, peer } = await beside(scope, we);
        for (const fragments of messages)
          for (const [at, fragment] of fragments.entries())
            peer.send(fragment, { binary: true, fin: at === fragments.length - 1 });
        peer.send(Buffer.alloc(0));
        assert.ok((await buffer(stream)).equals(Buffer.concat(messages.flat())));
        const closed = once(peer, 'close') as Promise<[number]>;
        stream.end();
        assert.equal((await closed)[0], CLOSE.NORMAL); // both have ended
      });
      await fc.assert(property, { numRuns: 15 });
    });

    it('pings are answered, and ours are', async (t) => {
      const { stream, peer } = await beside(new Scope(t), we, { marked: true, ping: 200 });
      stream.resume();
      peer.ping('here?');
      assert.equal(String((await once(peer, 'pong'))[0]), 'here?');
      for (let count = 0; count < 4; count += 1) await once(peer, 'ping'); // a peer that is taken for dead gets three
      peer.terminate();
    });

    it('a close before the end is a cut that says why; a plain peer’s normal close is its end', async (t) => {
      const scope = new Scope(t);
      const cutOff = await beside(scope, we);
      cutOff.stream.resume();
      cutOff.peer.close(1011, 'disk full');
      const [error] = (await once(cutOff.stream, 'error')) as [Error];
      assert.equal(error.message, 'closed before its end (1011 disk full)');
      const plain = await beside(scope, we, { marked: false, ping: 0 });
      plain.peer.send('last words');
      plain.peer.close(1000);
      assert.equal(String(await buffer(plain.stream)), 'last words');
    });

    it('an abort tells the reason', async (t) => {
      const { stream, peer } = await beside(new Scope(t), we);
      stream.abort(new Error('no such command'));
      const [code, reason] = (await once(peer, 'close')) as [number, Buffer];
      assert.deepEqual([code, String(reason)], [CLOSE.INTERNAL_ERROR, 'no such command']);
    });

    it('a peer that sends too much in one message is told so, and cut', async (t) => {
      const { stream, peer } = await beside(new Scope(t), we);
      stream.resume();
      peer.send(Buffer.alloc(1024 * 1024 + 1), () => {});
      peer.on('error', () => {});
      const failed = once(stream, 'error') as Promise<[Error]>;
      const [code] = (await once(peer, 'close')) as [number];
      assert.equal(code, CLOSE.TOO_BIG);
      assert.match((await failed)[0].message, /a message of more than 1048576 bytes/);
    });
  });

const closed = (stream: WebSocketStream): Promise<void> => new Promise((resolve) => stream.once('close', resolve));

/** A bare socket whose far end is our stream, as after an upgrade. */
async function bare(scope: Scope): Promise<{ raw: Socket; stream: WebSocketStream; socket: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  scope.defer(() => server.close());
  await once(server, 'listening');
  const raw = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(raw, 'connect')])) as [[Socket], unknown];
  const stream = new WebSocketStream({ socket, head: Buffer.alloc(0), isClient: false }, STREAM);
  stream.on('error', () => {});
  scope.defer(() => raw.destroy());
  return { raw, stream, socket };
}

it('a flood of pings from a peer that reads nothing takes no memory', async (t) => {
  const { raw, stream, socket } = await bare(new Scope(t));
  stream.resume();
  const pings = Buffer.concat(Array.from({ length: 500 }, () => frame(0x89, 'x'.repeat(125), KEY)));
  raw.pause();
  for (let sent = 0; sent < 64 * 1024 * 1024; sent += pings.length) if (!raw.write(pings)) await once(raw, 'drain');
  assert.ok(socket.writableLength < 1024, `${socket.writableLength} bytes wait`);
  raw.destroy();
  await closed(stream);
});

it('a peer that does not read stops the writes', async (t) => {
  const { raw, stream, socket } = await bare(new Scope(t));
  raw.pause();
  const chunk = Buffer.alloc(256 * 1024);
  for (let quiet = 0; quiet < 20; quiet += 1) {
    while (stream.write(chunk)) quiet = 0;
    await sleep(10);
  }
  assert.ok(socket.writableLength + stream.writableLength < 6 * 1024 * 1024);
  raw.destroy();
  await closed(stream);
});

it('an end of the socket without a close is a cut', async (t) => {
  const { raw, stream } = await bare(new Scope(t));
  stream.resume();
  raw.end();
  assert.match(((await once(stream, 'error')) as [Error])[0].message, /closed before its end \(1006\)/);
});

it('data after the peer’s end is refused', async (t) => {
  const { raw, stream } = await bare(new Scope(t));
  stream.resume();
  raw.write(Buffer.concat([frame(0x82, '', KEY), frame(0x82, 'late', KEY)]));
  assert.match(((await once(stream, 'error')) as [Error])[0].message, /after its end/);
  raw.destroy();
});

/** A close frame with a code, as a client sends it. */
const closing = (code: number): Buffer => frame(0x88, Buffer.of(code >> 8, code & 0xff), KEY);

it('an abort after the peer’s end is a cut, though our end finds the way closed', async (t) => {
  const { raw, stream } = await bare(new Scope(t));
  const failed = once(stream, 'error') as Promise<[Error]>;
  stream.resume();
  raw.write(Buffer.concat([frame(0x82, '', KEY), closing(CLOSE.INTERNAL_ERROR)]));
  await once(stream, 'end');
  stream.end();
  assert.equal((await failed)[0].message, 'closed before our end (1011)');
  raw.destroy();
});

it('what is written after an end of the socket without a close fails with that reason', async (t) => {
  const { raw, stream, socket } = await bare(new Scope(t));
  stream.resume();
  raw.end();
  await once(socket, 'end');
  const failed = once(stream, 'error') as Promise<[Error]>;
  stream.write('too late');
  assert.equal((await failed)[0].message, 'closed before its end (1006)');
  raw.destroy();
});
