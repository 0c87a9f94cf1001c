import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Duplex, duplexPair } from 'node:stream';
import { it } from 'node:test';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { SluiceError } from '../../core/errors.ts';
import { Relay } from '../../core/relay.ts';
import type { Connection, ExitStatus, Inbound, Outbound } from '../../plugins/contract/index.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const MIB = 1024 * 1024;

interface More {
  readonly inbound?: Partial<Inbound>;
  readonly outbound?: Partial<Outbound>;
  readonly idleAfterEnd?: number;
  readonly refuses?: (first: Buffer) => SluiceError | undefined;
}

/** A relay over memory: `client` and `server` are what its two peers hold, `source` and `sink` what it holds itself. */
function relayInMemory({ inbound, outbound, idleAfterEnd = 60_000, refuses }: More = {}) {
  const [client, source] = duplexPair({ allowHalfOpen: true });
  const [server, sink] = duplexPair({ allowHalfOpen: true });
  const relay = new Relay(
    { stream: source, peer: { address: 'client' }, ...inbound },
    { stream: sink, peer: { address: 'server' }, ...outbound },
    { idleAfterEnd, ...(refuses && { refuses }) },
  );
  return { client, server, source, sink, relay, outcome: relay.run() };
}

/** Reads to the end without destroying the stream, as `for await` would. */
async function textOf(stream: Duplex): Promise<string> {
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(stream, 'end');
  return text;
}

/** A connection whose `abort` frees it and remembers why. */
function abortable(stream: Duplex): { connection: Connection; reasons: Error[] } {
  const reasons: Error[] = [];
  const abort = (reason: Error): void => {
    reasons.push(reason);
    stream.destroy();
  };
  return { connection: { stream, peer: { address: 'test' }, abort }, reasons };
}

const throwing = (): never => {
  throw new Error('a fault of the plugin');
};

it('passes an end on as an end, and goes on in the other direction', async () => {
  const { client, server, relay, outcome } = relayInMemory();
  client.end('question');
  assert.equal(await textOf(server), 'question');
  server.end('answer');
  assert.equal(await textOf(client), 'answer');
  assert.deepEqual(await outcome, { how: 'ended' });
  assert.deepEqual([relay.toSink.bytes, relay.toSource.bytes], [8, 6]);
});

it('cuts when no byte has come for the idle limit after the first end', async () => {
  const { client, server, outcome } = relayInMemory({ idleAfterEnd: 50 });
  client.end();
  server.resume();
  const { how, by, reason } = await outcome;
  assert.deepEqual({ how, by, code: reason?.code }, { how: 'cut', by: 'us', code: 'SLUICE_IDLE' });
});

it('sets a slow reply no limit as long as its bytes come', async () => {
  const { client, server, outcome } = relayInMemory({ idleAfterEnd: 400 });
  client.end();
  server.resume();
  const reply = textOf(client);
  for (let at = 0; at < 12; at += 1) {
    await sleep(60); // 720 ms in all
    server.write('.');
  }
  server.end();
  assert.equal((await reply).length, 12);
  assert.equal((await outcome).how, 'ended');
});

it('has no idle limit before the first end', async () => {
  const { client, server, outcome } = relayInMemory({ idleAfterEnd: 20 });
  await sleep(80);
  for (const end of [client, server]) end.resume().end();
  assert.equal((await outcome).how, 'ended');
});

it('ends when the sink is gone after its end, though it has not taken all that the source sent', async () => {
  const sink = new Duplex({ read() {}, write() {} }); // a command that reads nothing
  const { client, outcome } = relayInMemory({ outbound: { stream: sink } });
  client.end(Buffer.alloc(MIB));
  sink.once('end', () => sink.destroy());
  sink.push('reply');
  sink.push(null);
  assert.equal(await textOf(client), 'reply');
  assert.equal((await outcome).how, 'ended');
});

it('takes a source that is gone before the reply reached it for a cut, though its own direction had ended', async () => {
  const { client, source, server, sink, outcome } = relayInMemory();
  client.end();
  await textOf(server);
  source.destroy();
  const { how, by } = await outcome;
  assert.deepEqual({ how, by, sink: sink.destroyed }, { how: 'cut', by: 'source', sink: true });
});

const unwanted = new SluiceError('SLUICE_DIAL', 'not for you');
const refuses = (first: Buffer): SluiceError | undefined => (first.toString() === 'words' ? unwanted : undefined);

for (const [what, more] of [
  ['and their end', undefined],
  ['and whatever comes after them', 'more'],
] as const)
  it(`keeps first bytes that are refused from the source, ${what}, and cuts`, async () => {
    const { client, server, relay, outcome } = relayInMemory({ refuses });
    const seen: string[] = [];
    client.on('data', (chunk: Buffer) => seen.push(chunk.toString())).once('end', () => seen.push('end'));
    server.cork(); // both are there when the first is read
    server.write('words');
    server.end(more);
    server.uncork();
    const { how, by, reason } = await outcome;
    assert.deepEqual([how, by, reason, seen, relay.toSource.bytes], ['cut', 'us', unwanted, [], 0]);
  });

it('looks at the first bytes only', async () => {
  const { client, server, outcome } = relayInMemory({ refuses });
  server.resume().write('other ');
  client.end();
  await once(client, 'data').then(([chunk]) => assert.equal(String(chunk), 'other '));
  server.end('words');
  assert.equal(await textOf(client), 'words');
  assert.equal((await outcome).how, 'ended');
});

it('keeps them from the source where a socket is read into blocks, too', async (t) => {
  const scope = new Scope(t);
  const { accepted: sink, client: server } = await socketPair(scope);
  const { accepted: source, client } = await socketPair(scope);
  const relay = new Relay(
    { stream: source, peer: { address: 'client' } },
    { stream: sink, peer: { address: 'server' } },
    { idleAfterEnd: 0, refuses },
  );
  let came = 0;
  client.on('data', (chunk: Buffer) => (came += chunk.length));
  server.end('words');
  const { how, reason } = await relay.run();
  assert.deepEqual([how, reason, came], ['cut', unwanted, 0]);
});

for (const side of ['source', 'sink'] as const) {
  it(`aborts the other side when the ${side} breaks, and never ends it`, async () => {
    const [, near] = duplexPair({ allowHalfOpen: true });
    const { connection, reasons } = abortable(near);
    const other = side === 'source' ? { outbound: connection } : { inbound: connection };
    const { source, sink, outcome } = relayInMemory(other);
    (side === 'source' ? source : sink).destroy(new Error('the wire is torn'));
    const { how, by, reason } = await outcome;
    const message = `cut by the ${side}: the wire is torn`;
    assert.deepEqual({ how, by, message: reason?.message }, { how: 'cut', by: side, message });
    assert.deepEqual({ reasons, wasEnded: near.writableEnded }, { reasons: [reason], wasEnded: false });
  });
}

it('cuts both sides when we abort it, with our reason', async () => {
  const [, stream] = duplexPair();
  const { connection, reasons } = abortable(stream);
  const { source, relay, outcome } = relayInMemory({ outbound: connection });
  const reason = new SluiceError('SLUICE_STOPPED', 'enough');
  relay.abort(reason);
  assert.deepEqual(await outcome, { how: 'cut', by: 'us', reason });
  assert.deepEqual([reasons, source.destroyed], [[reason], true]);
});

it('frees a connection whose transport throws when it is aborted', async () => {
  const { sink, relay, outcome } = relayInMemory({ outbound: { abort: throwing } });
  relay.abort(new SluiceError('SLUICE_STOPPED', 'enough'));
  assert.equal((await outcome).how, 'cut');
  assert.ok(sink.destroyed);
});

it('passes the exit status of the sink on when all has ended', async () => {
  const exits: ExitStatus[] = [];
  const inbound = { exited: (status: ExitStatus): void => void exits.push(status) };
  const exit = Promise.resolve({ code: 3 });
  const { client, server, outcome } = relayInMemory({ inbound, outbound: { exit } });
  for (const end of [client, server]) end.resume().end();
  assert.deepEqual(await outcome, { how: 'ended', status: { code: 3 } });
  assert.deepEqual(exits, [{ code: 3 }]);
});

it('tells the signal that killed the command with the cut', async () => {
  const exit = Promise.resolve({ signal: 'SIGKILL' } as const);
  const { sink, outcome } = relayInMemory({ outbound: { exit } });
  sink.destroy(new Error('killed'));
  const { how, by, status } = await outcome;
  assert.deepEqual({ how, by, status }, { how: 'cut', by: 'sink', status: { signal: 'SIGKILL' } });
});

it('takes only so many bytes as fit its limits while the sink does not read', async () => {
  let given = 0;
  const read = function (this: Duplex): void {
    if (given === 64 * MIB) return; // a relay that takes everything is to fail, not to hang
    given += 64 * 1024;
    this.push(Buffer.alloc(64 * 1024));
  };
  const endless = new Duplex({ read, write: (_chunk, _encoding, done) => done() });
  const { relay, outcome } = relayInMemory({ inbound: { stream: endless } });
  for (let before = -1; before !== given; await turn()) before = given;
  assert.ok(given > 0 && given < 4 * MIB, `${given} bytes were taken`);
  relay.abort(new SluiceError('SLUICE_STOPPED', 'enough'));
  await outcome;
});

it('keeps no buffer for each byte that a peer sends alone while the sink does not read', async (t) => {
  const scope = new Scope(t);
  const { client, accepted } = await socketPair(scope);
  const stalled = await socketPair(scope);
  const outbound = { stream: stalled.accepted, peer: { address: 'server' } };
  const relay = new Relay({ stream: accepted, peer: { address: 'client' } }, outbound, { idleAfterEnd: 0 });
  const outcome = relay.run();
  stalled.client.pause();
  const before = process.memoryUsage().arrayBuffers;
  client.write(Buffer.alloc(MIB)); // more than the kernel takes
  for (let at = 0; at < 1_000; at += 1) {
    client.write('.');
    await turn();
  }
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 8 * MIB, `${grown} bytes of buffers`);
  relay.abort(new SluiceError('SLUICE_STOPPED', 'enough'));
  await outcome;
});

/** Two real sockets: only between them the pump reads into buffers of its own. */
async function socketPair(scope: Scope): Promise<{ client: Socket; accepted: Socket }> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(`${scope.folder()}/s`);
  const client = connect(server.address() as string);
  const [accepted] = (await once(server, 'connection')) as [Socket];
  server.close();
  for (const socket of [client, accepted]) {
    socket.on('error', () => {});
    scope.defer(() => socket.destroy());
  }
  return { client, accepted };
}
