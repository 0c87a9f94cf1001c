/** Behind a proxy: where a connection comes from is told by it, for the log and for limits, and never who it is. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import fc from 'fast-check';
import { admissionLimits } from '../core/admission/limits.ts';
import { Identities } from '../core/identities.ts';
import { hashToken } from '../core/token-hash.ts';
import { bodyLength, readBody, readLine, writeHeader } from '../transports/proxy-header.ts';
import { forwardedFor, parseTrust } from '../transports/proxy-trust.ts';
import { certificates } from './support/certificates.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { startBackend } from './support/guarded.ts';
import { freePort, run, start, untilListening } from './support/programs.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';

assertNothingLeaks();

const { ca, server } = certificates();
const pair = `cert=${server.cert}&key=${server.key}`;
const V1 = 'PROXY TCP4 203.0.113.9 192.0.2.1 5555 443\r\n';

const openedFrom = (far: TestGateway, peer: string) =>
  far.log.until(({ message, fields }) => message === 'opened' && fields['peer'] === peer);

async function readAll(socket: Socket): Promise<string> {
  let got = '';
  socket.on('error', () => {}).on('data', (chunk: Buffer) => (got += chunk.toString()));
  await new Promise((resolve) => socket.once('close', resolve));
  return got;
}

async function open(scope: Scope, source: string) {
  const { sink, accepted } = await startBackend(scope);
  const far = startGateway(scope);
  const { listener } = await far.open(source, sink, { allow: ['anyone'] });
  return { far, accepted, address: listener.address, port: Number(/:(\d+)(?:\/|$)/.exec(listener.address)?.[1]) };
}

const side = (name: string, port: number, to: number, how: string): string =>
  `listen ${name}\n  mode tcp\n  bind 127.0.0.1:${port}\n  server s 127.0.0.1:${to} ${how}\n`;

const curl = async (scope: Scope, url: string, ...more: string[]): Promise<string> => {
  const upgrade = [
    '-H',
    'Connection: Upgrade',
    '-H',
    'Upgrade: websocket',
    '-H',
    'Sec-WebSocket-Version: 13',
    '-H',
    'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==',
  ];
  return (
    await run(scope, 'curl', ['-s', '-o', '/dev/null', '-m', '1', '-w', '%{http_code}', ...upgrade, ...more, url])
  ).stdout.toString();
};

describe('a header of the PROXY protocol', () => {
  const places: readonly (readonly [string, string])[] = [
    ['tcp', 'tcp://127.0.0.1:0?trusted-proxies=127.0.0.1'],
    ['tls', `tls://127.0.0.1:0?${pair}&trusted-proxies=127.0.0.0/8`],
    ['tls, truncation=end', `tls://127.0.0.1:0?${pair}&trusted-proxies=127.0.0.0/8&truncation=end`],
  ];
  const headers: readonly (readonly [string, Buffer, string])[] = [
    ['version 1', Buffer.from(V1), '203.0.113.9:5555'],
    ['version 1 with IPv6', Buffer.from('PROXY TCP6 2001:db8::9 ::1 5555 443\r\n'), '[2001:db8::9]:5555'],
    ['version 2', writeHeader('203.0.113.9:5555', 'laptop'), '203.0.113.9:5555'],
  ];
  for (const [where, source] of places) {
    for (const [what, header, peer] of headers) {
      it(`of ${what} tells a ${where} source where a connection comes from, in pieces and with what follows`, async (t) => {
        const scope = new Scope(t);
        const { far, port } = await open(scope, source);
        const raw = connect(port, '127.0.0.1');
        await once(raw, 'connect');
        raw.write(header.subarray(0, 5));
        await new Promise((resolve) => setImmediate(resolve));
        const isTls = source.startsWith('tls');
        raw.write(isTls ? header.subarray(5) : Buffer.concat([header.subarray(5), Buffer.from('x')]));
        const socket = isTls ? connectTls({ socket: raw, ca: readFileSync(ca), servername: 'localhost' }) : raw;
        assert.equal(await readAll(socket), 'hello');
        await openedFrom(far, peer);
      });
    }
  }

  it('that is none closes the connection, and nothing of the sink is touched', async (t) => {
    const { far, port, accepted } = await open(new Scope(t), 'tcp://127.0.0.1:0?trusted-proxies=127.0.0.1');
    for (const said of [
      'GET / HTTP/1.1\r\n\r\n',
      'PROXY TCP4 nonsense\r\n',
      `PROXY ${'x'.repeat(200)}`,
      writeHeader('1.2.3.4:5', 'a').toString('latin1').replace('!', '1'),
    ]) {
      const socket = connect(port, '127.0.0.1');
      socket.write(Buffer.from(said, 'latin1'));
      assert.equal(await readAll(socket), '');
    }
    assert.equal(accepted(), 0);
    assert.match(JSON.stringify(far.log.lines), /does not speak the PROXY protocol/);
  });

  it('from whoever is not trusted is plain data', async (t) => {
    const scope = new Scope(t);
    const backend = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    await once(backend, 'listening');
    scope.defer(() => backend.close());
    const far = startGateway(scope);
    const { listener } = await far.open(
      'tcp://127.0.0.1:0?trusted-proxies=192.0.2.0/24',
      `tcp://127.0.0.1:${(backend.address() as AddressInfo).port}`,
      { allow: ['anyone'] },
    );
    const socket = connect(Number(listener.address.split(':').at(-1)), '127.0.0.1');
    socket.end(V1);
    assert.equal(await readAll(socket), V1);
    assert.ok(!JSON.stringify(far.log.lines).includes('203.0.113.9'));
  });

  it('is understood as HAProxy sends it, in both versions, before tcp and wss', async (t) => {
    const scope = new Scope(t);
    const plain = await open(scope, 'tcp://127.0.0.1:0?trusted-proxies=127.0.0.1');
    const web = await open(scope, `wss://127.0.0.1:0/x?${pair}&trusted-proxies=127.0.0.1&proxied=protocol`);
    const [one, two] = [await freePort(), await freePort()];
    const file = join(scope.folder(), 'haproxy.cfg');
    writeFileSync(
      file,
      `defaults\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n${side('a', one, plain.port, 'send-proxy')}${side('b', two, web.port, 'send-proxy-v2')}`,
    );
    start(scope, 'haproxy', ['-f', file, '-db']);
    await untilListening(one);
    const socket = connect(one, '127.0.0.1');
    await once(socket, 'connect');
    const own = `127.0.0.1:${socket.localPort}`;
    assert.equal(await readAll(socket), 'hello');
    await openedFrom(plain.far, own);
    const near = startGateway(scope);
    const path = join(scope.folder(), 's');
    await near.open(`unix:${path}`, `wss://127.0.0.1:${two}/x?ca=${ca}&servername=localhost`);
    assert.equal(await readAll(connect({ path })), 'hello');
    await web.far.log.until(
      ({ message, fields }) => message === 'opened' && /^127\.0\.0\.1:\d+$/.test(String(fields['peer'])),
    );
  });

  it('is what a sink begins with where its address asks for it, and tells the identity', async (t) => {
    const scope = new Scope(t);
    let said = Buffer.alloc(0);
    const backend = createServer((socket) =>
      socket
        .on('error', () => {})
        .on('data', (chunk) => (said = Buffer.concat([said, chunk])))
        .on('end', () => socket.end()),
    ).listen(0, '127.0.0.1');
    await once(backend, 'listening');
    scope.defer(() => backend.close());
    const far = startGateway(scope);
    const { listener } = await far.open(
      'tcp://127.0.0.1:0',
      `tcp://127.0.0.1:${(backend.address() as AddressInfo).port}?proxy-protocol=yes`,
      {},
    );
    const socket = connect(Number(listener.address.split(':').at(-1)), '127.0.0.1');
    await once(socket, 'connect');
    const own = `127.0.0.1:${socket.localPort}`;
    socket.end('data');
    await readAll(socket);
    const head = said.subarray(0, 16);
    const length = bodyLength(head);
    assert.equal(readBody(head, said.subarray(16, 16 + length)), own);
    assert.equal(said.subarray(16 + length).toString(), 'data');
    assert.ok(writeHeader('unix', 'laptop').includes('laptop'));
  });

  it('is read, or refused, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.uint8Array({ maxLength: 80 }),
        (line, head, body) => {
          for (const attempt of [
            () => readLine(line),
            () => bodyLength(Buffer.from(head)),
            () => readBody(Buffer.from(head), Buffer.from(body)),
          ])
            try {
              attempt();
            } catch (error) {
              assert.match((error as Error).message, /PROXY/);
            }
        },
      ),
      { numRuns: 5_000 },
    );
  });
});

describe('X-Forwarded-For', () => {
  const trust = parseTrust(['10.0.0.0/8', '::1', 'unix']);
  const cases: readonly (readonly [header: string, told: string | undefined])[] = [
    ['203.0.113.9', '203.0.113.9:0'],
    ['1.2.3.4, 203.0.113.9', '203.0.113.9:0'],
    ['1.2.3.4, 203.0.113.9, 10.1.1.1', '203.0.113.9:0'],
    ['203.0.113.9:1234, ::1', '203.0.113.9:0'],
    ['[2001:db8::9]:77', '[2001:db8::9]:0'],
    ['10.1.1.1', undefined],
    ['203.0.113.9, nonsense', undefined],
    ['', undefined],
  ];
  for (const [header, told] of cases)
    it(`${JSON.stringify(header)} tells ${told}`, () => assert.equal(trust && forwardedFor(header, trust), told));

  it('is believed from a trusted proxy alone', async (t) => {
    const scope = new Scope(t);
    for (const trusted of ['127.0.0.1', '192.0.2.1']) {
      const { far, address } = await open(scope, `ws://127.0.0.1:0/x?trusted-proxies=${trusted}`);
      assert.equal(
        await curl(scope, address.replace('ws:', 'http:'), '-H', 'X-Forwarded-For: 1.2.3.4, 203.0.113.9'),
        '101',
      );
      const { fields } = await far.log.untilMessage('opened');
      if (trusted === '127.0.0.1') assert.equal(fields['peer'], '203.0.113.9:0');
      else assert.match(String(fields['peer']), /^127\.0\.0\.1:/);
    }
  });

  it('says whom a penalty meets, and never who somebody is', async (t) => {
    const scope = new Scope(t);
    const token = 'slu_laptop_0123456789abcdef';
    const { sink, accepted } = await startBackend(scope);
    const far = startGateway(scope);
    far.gateway.know(new Identities([{ identity: { name: 'laptop' }, hash: hashToken(token) }]));
    far.gateway.admission.limit(admissionLimits({}));
    const { listener } = await far.open('ws://127.0.0.1:0/x?trusted-proxies=127.0.0.1', sink, { allow: ['laptop'] });
    const url = listener.address.replace('ws:', 'http:');
    const from = (host: string, shown: string) =>
      curl(scope, url, '-H', `X-Forwarded-For: ${host}`, '-H', `Authorization: Bearer ${shown}`);
    assert.equal(await curl(scope, url, '-H', 'X-Forwarded-For: 127.0.0.1'), '401');
    for (let count = 0; count < 3; count += 1) assert.equal(await from('203.0.113.9', `${token}x`), '401');
    assert.equal(await from('203.0.113.77', token), '401');
    assert.equal(await from('198.51.100.1', token), '101');
    assert.equal(accepted(), 1);
  });
});

it('a source behind a proxy is reached by whoever reaches that, so it says who may', async (t) => {
  const far = startGateway(new Scope(t));
  const opening = far.open('tcp://127.0.0.1:0?trusted-proxies=127.0.0.1', 'exec:cat', {});
  await assert.rejects(opening, { code: 'SLUICE_ACCESS', message: /can be reached from the network/ });
  assert.throws(() => parseTrust(['10.0.0.0/99']), /option "trusted-proxies": expected an address/);
});
