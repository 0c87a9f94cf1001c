/** `zstd+…`: less on the wire, nothing kept back, and an end that is in the data. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { it } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { layerSuite } from '../../compliance/index.ts';
import zstd from '../../plugins/zstd/index.ts';
import { startLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { joinedBy } from './command-line.ts';

assertNothingLeaks();

layerSuite(zstd, { source: 'zstd.level=1', sink: 'zstd.level=5' });

it('what an ordinary zstd reads goes over the wire, and less of it', async (t) => {
  const scope = new Scope(t);
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.defer(() => server.close());
  const arrived = (async () => {
    const [socket] = await once(server, 'connection');
    const bytes = await buffer(socket);
    socket.destroy();
    return bytes;
  })();
  const near = `unix:${scope.folder()}/s`;
  await startLink(
    scope,
    near,
    `zstd+tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    '--plugin',
    'sluice/zstd',
  );
  const sent = Buffer.from('the same line again and again\n'.repeat(100_000));
  connect({ path: near.slice('unix:'.length), allowHalfOpen: true })
    .on('error', () => {})
    .end(sent);
  const wire = await arrived;
  assert.ok(zstdDecompressSync(wire).equals(sent));
  assert.ok(wire.length < sent.length / 20, `${sent.length} bytes became ${wire.length}`);
  t.diagnostic(`${sent.length} bytes became ${wire.length}`);
});

it('two gateways carry a late reply and an exit', async (t) => {
  const { client, second } = await joinedBy(new Scope(t), 'sluice/zstd', 'zstd', 'exec:sh -c "wc -c; exit 3"');
  client.end(Buffer.alloc(3_000_000));
  assert.equal((await text(client)).trim(), '3000000');
  await second.untilStderr(/closed .*how=ended exit=3/);
});

it('something else than zstd is a cut, and told', async (t) => {
  const scope = new Scope(t);
  const link = await startLink(scope, 'zstd+tcp://127.0.0.1:0', 'exec:cat', '--plugin', 'sluice/zstd');
  const client = connect(Number(/\d+$/.exec(link.address)?.[0]), '127.0.0.1').on('error', () => {});
  client.write('GET / HTTP/1.1\r\n\r\n');
  await link.untilStderr(/closed .*how=cut/);
});
