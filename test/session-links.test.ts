/** Links that speak the session, over real carriers that are cut again and again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { certificates } from './support/certificates.ts';
import { startGateway } from './support/gateway.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';

assertNothingLeaks();

const MIB = 1024 * 1024;

/** Passes bytes on, and resets both sides after every `bytes` of them. */
async function cuttingProxy(
  scope: Scope,
  target: number,
  bytes: number,
): Promise<{ port: number; cuts: () => number }> {
  let cuts = 0;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    let passed = 0;
    const cut = (): void => {
      near.resetAndDestroy();
      far.resetAndDestroy();
    };
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', cut);
      from.on('data', (chunk: Buffer) => {
        passed += chunk.length;
        if (passed > bytes && !from.destroyed) {
          cuts += 1;
          cut();
        }
      });
      from.pipe(to);
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.defer(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, cuts: () => cuts };
}

const { ca, server } = certificates();
const carriers: [scheme: string, sourceOptions: string, sinkOptions: string, path: string][] = [
  ['tcp', '', '', ''],
  ['tls', `&cert=${server.cert}&key=${server.key}`, `&ca=${ca}`, ''],
  ['ws', '', '', '/x'],
  ['wss', `&cert=${server.cert}&key=${server.key}`, `&ca=${ca}`, '/x'],
];

describe('a link that speaks the session', () => {
  for (const [scheme, sourceOptions, sinkOptions, path] of carriers) {
    it(`over ${scheme} loses no byte while its carrier is cut every 3 MiB`, async (t) => {
      const scope = new Scope(t);
      const far = startGateway(scope);
      const near = startGateway(scope);
      const { listener } = await far.open(`${scheme}://127.0.0.1:0${path}?session=yes${sourceOptions}`, 'exec:cat');
      const proxy = await cuttingProxy(scope, Number(/:(\d+)/.exec(listener.address)?.[1]), 3 * MIB);
      const socket = `${scope.folder()}/s`;
      await near.open(`unix:${socket}`, `${scheme}://127.0.0.1:${proxy.port}${path}?session=yes${sinkOptions}`);
      const bytes = randomBytes(16 * MIB);
      const client = connect({ path: socket, allowHalfOpen: true });
      client.end(bytes);
      const reply = await buffer(client);
      assert.equal(createHash('sha256').update(reply).digest('hex'), createHash('sha256').update(bytes).digest('hex'));
      assert.ok(proxy.cuts() >= 5, `${proxy.cuts()} cuts`);
      assert.equal((await far.log.untilMessage('closed')).fields['how'], 'ended');
    });
  }

  it('carries standard error and exit status to whoever dialed', async (t) => {
    const scope = new Scope(t);
    const far = startGateway(scope);
    const near = startGateway(scope);
    const { listener } = await far.open(
      'tcp://127.0.0.1:0?session=yes',
      `exec:sh -c "cat >/dev/null; echo oops >&2; exit 7"`,
    );
    const socket = `${scope.folder()}/s`;
    await near.open(`unix:${socket}`, `${listener.address}?session=yes`);
    const client = connect({ path: socket, allowHalfOpen: true });
    client.end();
    await buffer(client);
    assert.equal((await near.log.untilMessage('closed')).fields['exit'], 7);
    assert.equal((await near.log.untilMessage('stderr')).fields['line'], 'oops');
  });

  it('tells a sink that is not there as such', async (t) => {
    const scope = new Scope(t);
    const far = startGateway(scope);
    const near = startGateway(scope);
    const { listener } = await far.open('tcp://127.0.0.1:0?session=yes', 'exec:no-such-command');
    const socket = `${scope.folder()}/s`;
    await near.open(`unix:${socket}`, `${listener.address}?session=yes`);
    connect({ path: socket })
      .on('error', () => {})
      .resume();
    assert.match(
      String((await near.log.untilMessage('closed')).fields['reason']),
      /command not found: no-such-command/,
    );
  });

  it('is no cut where it ends well while its gateway is being stopped', async (t) => {
    const scope = new Scope(t);
    const [far, near] = [startGateway(scope), startGateway(scope)];
    const { listener } = await far.open(
      'tcp://127.0.0.1:0?session=yes',
      `exec:sh -c "echo begun; read line; echo $line"`,
    );
    const socket = `${scope.folder()}/s`;
    await near.open(`unix:${socket}`, `${listener.address}?session=yes`);
    const client = connect({ path: socket, allowHalfOpen: true });
    assert.equal(String((await once(client, 'data'))[0]), 'begun\n');
    const closing = far.gateway.close();
    client.end('to the end\n');
    assert.equal((await buffer(client)).toString(), 'to the end\n');
    assert.equal(await closing, 0);
    for (const { log } of [far, near]) assert.equal((await log.untilMessage('closed')).fields['how'], 'ended');
  });
});
