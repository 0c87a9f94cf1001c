/** `tls+tunnel:` keeps a secret from the relay in the middle: three gateways, of which the middle one records everything. */
import assert from 'node:assert/strict';
import { Transform } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { it, type TestContext } from 'node:test';
import { defineLayer, through, type Layer } from '../../plugins/contract/index.ts';
import tls from '../../plugins/tls/index.ts';
import { certificates } from '../support/certificates.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { client, startHub, startOffice } from '../tunnels/stage.ts';

assertNothingLeaks();

const SECRET = 'what nobody in the middle may read';

/** A layer that keeps a copy of all that passes it. */
function tap(seen: Buffer[]): Layer {
  const copying = (): Transform =>
    new Transform({
      transform(chunk: Buffer, _encoding, done) {
        seen.push(Buffer.from(chunk));
        done(null, chunk);
      },
    });
  return defineLayer({
    contract: 1,
    name: 'tap',
    summary: 'keeps a copy',
    options: {},
    keeps: ['half-close', 'proves-end', 'tells-cut'],
    adds: [],
    parse: () => ({}),
    wrap: (_options, { stream }) => ({ stream: through(stream, { outgoing: copying(), incoming: copying() }) }),
  });
}

/** laptop → middle → vault, where the vault answers with what it was sent. Resolves with the answer and what the middle saw. */
async function carried(t: TestContext, layer: string, source: string, sink: string) {
  const scope = new Scope(t);
  const seen: Buffer[] = [];
  const [vault, middle] = [await startHub(scope), await startHub(scope)];
  middle.gateway.registry.registerLayer(tap(seen));
  vault.gateway.registry.registerLayer(tls);
  await vault.gateway.open(`${layer}tunnel:office/repo${source}`, 'exec:cat');
  await startOffice(scope, [vault.address], { gateway: middle.gateway });
  await middle.gateway.open('tap+tunnel:office/repo', 'tunnel:hub/repo');
  const laptop = await startOffice(scope, [middle.address]);
  laptop.gateway.registry.registerLayer(tls);
  const path = `${scope.folder()}/s`;
  await laptop.gateway.open(`unix:${path}`, `${layer}tunnel:hub/repo${sink}`);
  const socket = client(path);
  socket.end(SECRET.repeat(1_000));
  return { answer: (await buffer(socket)).toString(), seen: Buffer.concat(seen) };
}

it('the middle sees everything without it', async (t) => {
  const { answer, seen } = await carried(t, '', '', '');
  assert.equal(answer, SECRET.repeat(1_000));
  assert.ok(seen.includes(SECRET));
});

it('and nothing of it with it, both ways, though every byte passed there', async (t) => {
  const { ca, server } = certificates();
  const source = `?tls.cert=${server.cert}&tls.key=${server.key}`;
  const { answer, seen } = await carried(t, 'tls+', source, `?tls.ca=${ca}&tls.servername=localhost`);
  assert.equal(answer, SECRET.repeat(1_000));
  assert.ok(seen.length > 2 * answer.length, `${seen.length} bytes were seen`);
  for (const part of [SECRET, 'nobody', 'middle']) assert.ok(!seen.includes(part), `"${part}" was seen in the middle`);
  t.diagnostic(`${answer.length} bytes each way; the middle saw ${seen.length}, and none of the plaintext`);
});
