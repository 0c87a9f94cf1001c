/** Layers in addresses: `LAYER+SCHEME:` is read, told, joined and ended as the scheme alone would be. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { parseAddress, splitAddress } from '../../core/address.ts';
import { jsonSchema } from '../../core/config/schema.ts';
import { Registry } from '../../core/registry.ts';
import type { Layer, Transport } from '../../plugins/contract/index.ts';
import { Tunnels } from '../../core/tunnels/tunnels.ts';
import { builtInTransports } from '../../transports/index.ts';
import { startGateway } from '../support/gateway.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { seededBytes } from '../support/tree.ts';
import { xor } from '../support/xor.ts';

assertNothingLeaks();

const zero: Layer = { ...xor, name: 'zero', options: {} };
const registry = new Registry(builtInTransports({ interrupted: () => false }, new Tunnels()), [xor, zero]);
const read = (text_: string, role: 'source' | 'sink' = 'sink') => parseAddress(text_, { registry, role, folder: '/w' });

describe('the address of a layer', () => {
  it('is that of the scheme, with the layer before it and its options after a dot', () => {
    const { transport, parsed } = read('xor+tcp://127.0.0.1:7?xor.note=x&keepalive=3s');
    assert.equal(transport.grammar, 'xor+tcp://HOST:PORT');
    const { layer, below } = parsed as { layer: object; below: { port: number; keepalive: number } };
    assert.deepEqual([layer, below.port, below.keepalive], [{ note: 'x' }, 7, 3000]);
  });

  it('may have several layers', () => {
    const { layer, below } = read('zero+xor+unix:/s').parsed as {
      layer: object;
      below: { layer: object; below: { path: string } };
    };
    assert.deepEqual([layer, below.layer, below.below.path], [{}, { note: 'none' }, '/s']);
  });

  it('keeps ws+unix a scheme of its own, also below a layer', () => {
    assert.equal(splitAddress('ws+unix:/s:/p', registry).scheme, 'ws+unix');
    assert.equal(read('xor+ws+unix:/s:/p').transport.name, 'xor+ws+unix');
  });

  const refused: [text: string, message: RegExp][] = [
    ['xro+tcp://h:1', /unknown scheme "xro\+tcp:"/],
    ['xor+tpc://h:1', /unknown scheme "xor\+tpc:"; did you mean "?xor\+tcp/],
    ['xor+xor+tcp://h:1', /layer "xor" stands twice/],
    ['xor+tcp://h:1?note=x', /unknown option "note" \(known: .*xor\.note\)/],
    ['xor+tcp://h:1?xor.not=x', /unknown option "xor\.not"; did you mean "?xor\.note/],
    ['tcp://h:1?xor.note=x', /unknown option "xor\.note"/],
  ];
  for (const [address, message] of refused)
    it(`is refused as ${address}`, () => assert.throws(() => read(address), { code: 'SLUICE_ADDRESS', message }));

  it('stands in the JSON Schema, with the options of both', () => {
    const { properties } = jsonSchema(registry) as {
      properties: {
        links: { items: { properties: { sink: { anyOf: { pattern?: string; properties?: object }[] } } } };
      };
    };
    const { anyOf } = properties.links.items.properties.sink;
    assert.match('zero+xor+tcp://h:1', new RegExp(anyOf[0]?.pattern ?? 'none'));
    const form = anyOf.find((one) => one.properties && 'xor+tcp' in one.properties);
    assert.ok(form?.properties && 'xor.note' in form.properties && 'keepalive' in form.properties);
  });
});

const capabilities = (address: string, layer: Layer): readonly string[] =>
  new Registry(builtInTransports({ interrupted: () => false }, new Tunnels()), [layer])
    .get(address)
    .capabilities.toSorted();

describe('the capabilities of a layered transport', () => {
  it('are those below that the layer keeps, those that it adds, and never a hand-off', () => {
    assert.deepEqual(capabilities('xor+unix', xor), ['half-close']);
    assert.deepEqual(capabilities('xor+unix', { ...xor, adds: ['proves-end'] }), ['half-close', 'proves-end']);
    assert.deepEqual(capabilities('xor+tls', { ...xor, keeps: ['half-close'] }), ['half-close']);
    assert.ok(capabilities('xor+exec', xor).includes('exit-status'));
  });

  it('do not show a token below a layer that encrypts, and let it pass above', () => {
    const made = new Registry(builtInTransports({ interrupted: () => false }, new Tunnels()), [
      { ...xor, encrypts: true },
    ]);
    const { showsToken, encrypts } = made.get('xor+ws');
    assert.deepEqual({ showsToken, encrypts }, { showsToken: undefined, encrypts: true });
    assert.equal(registry.get('xor+ws').showsToken, true);
  });
});

describe('a connection through a layer', () => {
  const ways: [name: string, source: (scope: Scope) => string][] = [
    ['tcp', () => 'xor+tcp://127.0.0.1:0?session=no'],
    ['unix', (scope) => `xor+unix:${scope.folder()}/f`],
    ['ws, with a session', () => 'xor+ws://127.0.0.1:0/x'],
    ['ws+unix, with a session', (scope) => `xor+ws+unix:${scope.folder()}/f:/x`],
    ['two layers', () => 'xor+zero+tcp://127.0.0.1:0'],
  ];
  for (const [name, source] of ways)
    it(`over ${name} carries bytes both ways and a late reply`, async (t) => {
      const scope = new Scope(t);
      const [far, near] = [startGateway(scope), startGateway(scope)];
      for (const { registry: known } of [far, near]) {
        known.registerLayer(xor);
        known.registerLayer(zero);
      }
      const { listener } = await far.open(source(scope), 'exec:sh -c "cat; echo end"');
      const { listener: local } = await near.open(`unix:${scope.folder()}/s`, listener.address);
      const client = connect({ path: local.address.slice('unix:'.length), allowHalfOpen: true });
      const bytes = seededBytes(name, 3_000_000);
      const reply = buffer(client);
      client.end(bytes);
      assert.ok((await reply).equals(Buffer.concat([bytes, Buffer.from('end\n')])));
      assert.equal((await near.log.untilMessage('closed')).fields['how'], 'ended');
    });

  it('shows nothing of it on the wire', async (t) => {
    const scope = new Scope(t);
    const seen: Buffer[] = [];
    const wire = createServer((socket) => {
      socket.on('data', (chunk: Buffer) => seen.push(chunk)).on('end', () => socket.end());
    }).listen(0, '127.0.0.1');
    await once(wire, 'listening');
    scope.defer(() => wire.close());
    const gateway = startGateway(scope);
    gateway.registry.registerLayer(xor);
    const { listener } = await gateway.open(
      `unix:${scope.folder()}/s`,
      `xor+tcp://127.0.0.1:${(wire.address() as AddressInfo).port}`,
    );
    const client = connect(listener.address.slice('unix:'.length));
    client.end('a secret');
    await text(client);
    assert.deepEqual(
      Buffer.concat(seen)
        .map((byte) => byte ^ 0xff)
        .toString(),
      'a secret',
    );
  });

  it('passes a cut on as a cut, and a command is told so', async (t) => {
    const scope = new Scope(t);
    const [far, near] = [startGateway(scope), startGateway(scope)];
    for (const one of [far, near]) one.registry.registerLayer(xor);
    const { listener } = await far.open('xor+tcp://127.0.0.1:0', 'exec:sh -c "echo up; exec sleep 60"');
    const { listener: local } = await near.open('tcp://127.0.0.1:0', listener.address);
    const client = connect(Number(new URL(local.address).port), '127.0.0.1').on('error', () => {});
    await once(client, 'data');
    client.resetAndDestroy();
    assert.equal((await near.log.untilMessage('closed')).fields['how'], 'cut');
    assert.equal((await far.log.untilMessage('closed')).fields['signal'], 'SIGTERM');
  });

  it('has the command below it work on after both ends, and tells its status', async (t) => {
    const scope = new Scope(t);
    const gateway = startGateway(scope);
    gateway.registry.registerLayer(xor);
    const { listener } = await gateway.open(
      `unix:${scope.folder()}/s`,
      'xor+exec:sh -c "cat >/dev/null; exec >&-; sleep 0.3; exit 7"',
    );
    const client = connect(listener.address.slice('unix:'.length));
    client.end('x');
    await text(client);
    const { fields } = await gateway.log.untilMessage('closed');
    assert.deepEqual([fields['how'], fields['exit']], ['ended', 7]);
  });
});

describe('a layer that fails', () => {
  const failing: [name: string, wrap: Layer['wrap'], reason: RegExp][] = [
    [
      'rejects',
      async () => {
        throw new Error('no handshake');
      },
      /no handshake/,
    ],
    [
      'throws',
      () => {
        throw new Error('at once');
      },
      /at once/,
    ],
    ['gives no stream', () => ({}) as never, /layer "xor": its "wrap" must resolve with \{ stream \}/],
  ];
  for (const [name, wrap, reason] of failing)
    it(`and ${name} cuts that connection and is named`, async (t) => {
      const scope = new Scope(t);
      const gateway = startGateway(scope);
      gateway.registry.registerLayer({ ...xor, wrap });
      const { listener } = await gateway.open(`unix:${scope.folder()}/s`, 'xor+exec:cat');
      const client = connect(listener.address.slice('unix:'.length));
      client.on('error', () => {});
      await once(client, 'close');
      assert.match(String((await gateway.log.untilMessage('closed')).fields['reason']), reason);
    });

  it('in a source concerns one connection, and the next is served', async (t) => {
    const scope = new Scope(t);
    const gateway = startGateway(scope);
    let calls = 0;
    const wrap: Layer['wrap'] = (...given) => {
      if ((calls += 1) === 1) throw new Error('the first');
      return xor.wrap(...given);
    };
    gateway.registry.registerLayer({ ...xor, wrap });
    const { listener } = await gateway.open(`xor+unix:${scope.folder()}/s`, 'exec:cat');
    const path = listener.address.slice('xor+unix:'.length);
    await once(
      connect(path).on('error', () => {}),
      'close',
    );
    const second = connect({ path, allowHalfOpen: true });
    second.end('x');
    assert.equal(await text(second), 'x');
    await gateway.log.until(
      ({ message, fields }) => message === 'connection refused by a layer' && fields['layer'] === 'xor',
    );
  });
});

it('a transport cannot claim what a layer before a scheme is, nor a layer what a scheme is', () => {
  const claims: Transport = { ...registry.get('tcp'), name: 'mine', schemes: ['xor+tcp'] };
  assert.throws(() => registry.register(claims), {
    code: 'SLUICE_PLUGIN',
    message: /"xor\+tcp:", which a layer before/,
  });
  assert.throws(() => registry.registerLayer({ ...xor, name: 'ws' }), {
    code: 'SLUICE_PLUGIN',
    message: /"ws\+unix:"/,
  });
  assert.throws(() => registry.registerLayer(xor), {
    code: 'SLUICE_PLUGIN',
    message: /there is a layer "xor" already/,
  });
});
