/** Tunnels between two gateways in this process, over real sockets: what they carry, and how they come back. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { chaosProxy } from '../support/chaos.ts';
import { freePort } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { client, startHub, startOffice } from './stage.ts';

assertNothingLeaks();

const MIB = 1024 * 1024;

/** ms that a service may be away after its far side has returned. */
const SOON = 2_000;

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const portOf = (address: string): number => Number(/:(\d+)/.exec(address)?.[1]);

describe('a tunnel', () => {
  it('carries streams to services of either side, with their standard error and exit status', async (t) => {
    const scope = new Scope(t);
    const hub = await startHub(scope);
    const office = await startOffice(scope, [hub.address]);
    const folder = scope.folder();
    await hub.gateway.open('tunnel:office/hello', `exec:sh -c "cat; echo at the hub >&2; exit 3"`);
    await office.gateway.open('tunnel:hub/hello', `exec:sh -c "cat; echo at the office >&2; exit 4"`);
    await hub.gateway.open(`unix:${folder}/hub.sock`, 'tunnel:office/hello');
    await office.gateway.open(`unix:${folder}/office.sock`, 'tunnel:hub/hello');
    for (const [near, far, line, exit] of [
      ['hub', hub, 'at the office', 4],
      ['office', office, 'at the hub', 3],
    ] as const) {
      const bytes = randomBytes(2 * MIB);
      const socket = client(`${folder}/${near}.sock`);
      socket.end(bytes);
      assert.equal(sha256(await buffer(socket)), sha256(bytes));
      await far.gateway.log.until(({ fields }) => fields['line'] === line);
      const closed = await far.gateway.log.until(
        ({ message, fields }) => message === 'closed' && fields['exit'] === exit,
      );
      assert.equal(closed.fields['how'], 'ended');
    }
  });

  it('lets a connection wait for a far side that is away', async (t) => {
    const scope = new Scope(t);
    const hub = await startHub(scope);
    const path = `${scope.folder()}/s`;
    await hub.gateway.open(`unix:${path}`, 'tunnel:office/echo');
    const socket = client(path);
    socket.end('waited');
    await startOffice(scope, [hub.address], { offer: { echo: 'exec:cat' } });
    assert.equal(await text(socket), 'waited');
  });

  it('fails a connection whose wait is over, with the reason', async (t) => {
    const scope = new Scope(t);
    const hub = await startHub(scope, undefined, { wait: 50 });
    const path = `${scope.folder()}/s`;
    await hub.gateway.open(`unix:${path}`, 'tunnel:office/echo');
    await once(client(path).resume().end(), 'close');
    const { fields } = await hub.gateway.log.untilMessage('closed');
    assert.match(String(fields['reason']), /the far side of tunnel "office" is away, for 0 s by now: not there yet/);
  });

  it('tells a service that is not there, with those that are', async (t) => {
    const scope = new Scope(t);
    const hub = await startHub(scope);
    await startOffice(scope, [hub.address], { offer: { repo: 'exec:cat' } });
    const path = `${scope.folder()}/s`;
    await hub.gateway.open(`unix:${path}`, 'tunnel:office/rep');
    await once(client(path).resume().end(), 'close');
    const { fields } = await hub.gateway.log.untilMessage('closed');
    assert.match(String(fields['reason']), /there is no service "rep" in this tunnel; there are: repo/);
  });

  it('refuses a second link to one service of one tunnel', async (t) => {
    const scope = new Scope(t);
    const hub = await startHub(scope);
    await hub.gateway.open('tunnel:office/repo', 'exec:cat');
    await assert.rejects(hub.gateway.open('tunnel:office/repo', 'exec:cat'), /has a service "repo" already/);
  });

  it('does not dial its own gateway', async (t) => {
    const scope = new Scope(t);
    const hub = await startHub(scope);
    const { gateway } = hub;
    const { dialed } = await startOffice(scope, [hub.address], { gateway, isKept: false });
    await assert.rejects(dialed.up ?? Promise.resolve(), /leads to this gateway itself/);
  });
});

describe('a tunnel that loses its far side', () => {
  it('is back soon after the listening gateway was started again', async (t) => {
    const scope = new Scope(t);
    const port = await freePort();
    const first = await startHub(scope, `tcp://127.0.0.1:${port}`);
    const office = await startOffice(scope, [`tcp://127.0.0.1:${port}`], { offer: { echo: 'exec:cat' } });
    await office.gateway.log.untilMessage('tunnel up');
    first.entrance.end(new Error('killed'));
    await first.gateway.gateway.close(0);
    await office.gateway.log.untilMessage('tunnel down');
    const second = await startHub(scope, `tcp://127.0.0.1:${port}`);
    await second.gateway.log.untilMessage('tunnel up', 1, SOON);
    const path = `${scope.folder()}/s`;
    await second.gateway.open(`unix:${path}`, 'tunnel:office/echo');
    const socket = client(path);
    socket.end('again');
    assert.equal(await text(socket), 'again');
  });

  it('goes on with its streams after an outage, and nobody notices', async (t) => {
    const scope = new Scope(t);
    const hub = await startHub(scope);
    const proxy = await chaosProxy(portOf(hub.address), () => ({}));
    scope.defer(() => proxy.close());
    const office = await startOffice(scope, [`tcp://127.0.0.1:${proxy.port}`], { offer: { echo: 'exec:cat' } });
    const path = `${scope.folder()}/s`;
    await hub.gateway.open(`unix:${path}`, 'tunnel:office/echo');
    const bytes = randomBytes(8 * MIB);
    const socket = client(path);
    socket.end(bytes);
    await once(socket, 'readable');
    for (const wire of proxy.wires) wire.cut('rst');
    assert.equal(sha256(await buffer(socket)), sha256(bytes));
    await office.gateway.log.untilMessage('connection resumed');
  });

  it('belongs to the newest far side at once, while the old connection still hangs', async (t) => {
    const scope = new Scope(t);
    const hub = await startHub(scope);
    const hanging = await chaosProxy(portOf(hub.address), () => ({}));
    scope.defer(() => hanging.close());
    await startOffice(scope, [`tcp://127.0.0.1:${hanging.port}`], { offer: { who: 'exec:echo old' } });
    await hub.gateway.log.untilMessage('tunnel up');
    for (const wire of hanging.wires) wire.blackhole();
    await startOffice(scope, [hub.address], { offer: { who: 'exec:echo new' } });
    await hub.gateway.log.untilMessage('tunnel taken over by a newer connection', 1, 1_000);
    const path = `${scope.folder()}/s`;
    await hub.gateway.open(`unix:${path}`, 'tunnel:office/who');
    assert.equal(await text(client(path)), 'new\n');
  });

  it('takes its other address meanwhile, and the better one again when it returns', async (t) => {
    const scope = new Scope(t);
    const port = await freePort();
    const spare = await startHub(scope);
    await startOffice(scope, [`tcp://127.0.0.1:${port}`, spare.address], {
      betterAddress: 50,
      offer: { slow: `exec:sh -c "echo begun; read line; echo $line"` },
    });
    const path = `${scope.folder()}/s`;
    await spare.gateway.log.untilMessage('tunnel up');
    await spare.gateway.open(`unix:${path}`, 'tunnel:office/slow');
    const socket = client(path);
    assert.equal(String((await once(socket, 'data'))[0]), 'begun\n');
    const better = await startHub(scope, `tcp://127.0.0.1:${port}`);
    await better.gateway.log.untilMessage('tunnel up', 1, SOON);
    socket.end('to its end\n');
    assert.equal(await text(socket), 'to its end\n');
    await once(socket, 'close');
    assert.ok(better.tunnel.isOpen);
  });
});

describe('a tunnel of several sessions', () => {
  it('takes another address when the best one has died hard, while its session still tries to come back', async (t) => {
    const scope = new Scope(t);
    const best = await startHub(scope);
    const proxy = await chaosProxy(portOf(best.address), () => ({}));
    scope.defer(() => proxy.close());
    const spare = await startHub(scope);
    await startOffice(scope, [`tcp://127.0.0.1:${proxy.port}`, spare.address], { offer: { echo: 'exec:cat' } });
    await best.gateway.log.untilMessage('tunnel up');
    proxy.isOpen = false;
    for (const wire of proxy.wires) wire.cut('rst');
    await spare.gateway.log.untilMessage('tunnel up', 1, 8_000);
    const path = `${scope.folder()}/s`;
    await spare.gateway.open(`unix:${path}`, 'tunnel:office/echo');
    const socket = client(path);
    socket.end('by the other way');
    assert.equal(await text(socket), 'by the other way');
  });

  it('finds a service of an older one that the newest does not offer', async (t) => {
    const scope = new Scope(t);
    const hub = await startHub(scope);
    await startOffice(scope, [hub.address], { offer: { kept: 'exec:echo kept' } });
    await hub.gateway.log.untilMessage('tunnel up');
    await startOffice(scope, [hub.address], { offer: { other: 'exec:echo other' } });
    await hub.gateway.log.untilMessage('tunnel taken over by a newer connection');
    const path = `${scope.folder()}/s`;
    await hub.gateway.open(`unix:${path}`, 'tunnel:office/kept');
    assert.equal(await text(client(path)), 'kept\n');
  });

  it('asks no older one where the newest was lost before it answered: it may have begun', async (t) => {
    const scope = new Scope(t);
    const hub = await startHub(scope);
    const older = await startOffice(scope, [hub.address], { offer: { start: 'exec:echo again' } });
    await hub.gateway.log.untilMessage('tunnel up');
    const silent = createServer((socket) => void socket.on('error', () => {})).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    scope.defer(() => silent.close());
    const { port } = silent.address() as AddressInfo;
    const newest = await startOffice(scope, [hub.address], { offer: { start: `tls://127.0.0.1:${port}` } });
    await hub.gateway.log.untilMessage('tunnel taken over by a newer connection');
    const reached = once(silent, 'connection');
    const opening = hub.tunnel.open('start', { environment: {} }, new AbortController().signal);
    opening.catch(() => {});
    const [socket] = (await reached) as [Socket];
    scope.defer(() => socket.destroy());
    newest.dialed.end(new Error('killed'));
    await assert.rejects(opening, /the stream was closed before it was answered/);
    assert.ok(!older.gateway.log.lines.some(({ message }) => message === 'opened'));
  });

  it('does not let a far side in that proves itself after the tunnel was stopped', async (t) => {
    const scope = new Scope(t);
    const hub = await startHub(scope);
    const proxy = await chaosProxy(portOf(hub.address), () => ({ delay: 300 }));
    scope.defer(() => proxy.close());
    await startOffice(scope, [`tcp://127.0.0.1:${proxy.port}`]);
    await until(() => proxy.wires.length > 0);
    hub.entrance.stop();
    await hub.entrance.done;
    assert.ok(!hub.tunnel.isOpen);
  });
});

/** Resolves when it is so. */
async function until(is: () => boolean): Promise<void> {
  while (!is()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** A service that answers each connection with 1 MiB of the byte that it was sent, and resets those that ask for it. */
async function byteService(scope: Scope): Promise<string> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      if (chunk[0] === RESET) socket.resetAndDestroy();
      else socket.end(Buffer.alloc(MIB, chunk[0]));
    });
  }).listen(0, '127.0.0.1', 1_024); // all come at once
  await once(server, 'listening');
  scope.defer(() => server.close());
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const RESET = 255;

describe('a thousand streams of 1 MiB in one tunnel', () => {
  it('stay whole while a tenth is cut by either side, and what is cut looks cut', async (t) => {
    const scope = new Scope(t);
    const hub = await startHub(scope);
    const office = await startOffice(scope, [hub.address], { offer: { bytes: await byteService(scope) } });
    const open = async (byte: number): Promise<Duplex> => {
      const { stream } = await hub.tunnel.open('bytes', { environment: {} }, new AbortController().signal);
      stream.on('error', () => {});
      stream.write(Buffer.from([byte]));
      return stream;
    };
    const count = { whole: 0, cutByUs: 0, cutByThem: 0 };
    const whole = async (byte: number): Promise<void> => {
      const stream = await open(byte);
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      await once(stream, 'end'); // not buffer(): that destroys the stream at its end, which is a cut
      stream.end();
      await once(stream, 'close');
      assert.ok(Buffer.concat(chunks).equals(Buffer.alloc(MIB, byte)), `a stream of ${byte}`);
      count.whole += 1;
    };
    const cutByUs = async (byte: number): Promise<void> => {
      const stream = await open(byte);
      await once(stream, 'readable');
      stream.destroy(new Error('enough'));
      count.cutByUs += 1;
    };
    const cutByThem = async (): Promise<void> => {
      const stream = await open(RESET);
      await assert.rejects(buffer(stream), /reset by the far side: read ECONNRESET/);
      count.cutByThem += 1;
    };
    await Promise.all(
      Array.from({ length: 1_000 }, (_, number) =>
        number % 20 === 0 ? cutByUs(number % 251) : number % 20 === 1 ? cutByThem() : whole(number % 251),
      ),
    );
    assert.deepEqual(count, { whole: 900, cutByUs: 50, cutByThem: 50 });
    await office.gateway.log.until(() => office.gateway.gateway.running.size === 0);
    const cuts = office.gateway.log.lines.filter(
      ({ message, fields }) => message === 'closed' && fields['how'] === 'cut',
    );
    const by = (side: string): number => cuts.filter(({ fields }) => fields['by'] === side).length;
    assert.deepEqual({ source: by('source'), sink: by('sink') }, { source: 50, sink: 50 });
  });
});
