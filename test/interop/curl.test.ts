/** curl: HTTP through links, and what a WebSocket source answers to those who are none. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { describe, it } from 'node:test';
import { certificates } from '../support/certificates.ts';
import { run, startLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { seededBytes } from '../support/tree.ts';

assertNothingLeaks();

const { ca, server: pair } = certificates();
const sent = seededBytes('curl', 3_000_000);

const echo: RequestListener = (request, response) => void request.pipe(response);

async function serve(scope: Scope, server: Server & { closeAllConnections(): void }): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

const httpsServer = (): ReturnType<typeof createHttpsServer> =>
  createHttpsServer({ cert: readFileSync(pair.cert), key: readFileSync(pair.key) }, echo);

/** Posts and returns what came back. */
async function post(scope: Scope, url: string): Promise<Buffer> {
  const args = ['-sS', '--fail', '--max-time', '20', '--cacert', ca, '--data-binary', '@-', url];
  const { stdout, code, stderr } = await run(scope, 'curl', args, { input: sent });
  assert.equal(code, 0, stderr);
  return stdout;
}

it('curl posts to a web server through a tcp link', async (t) => {
  const scope = new Scope(t);
  const port = await serve(scope, createServer(echo));
  const { address } = await startLink(scope, 'tcp://127.0.0.1:0', `tcp://127.0.0.1:${port}`);
  assert.ok((await post(scope, address.replace('tcp:', 'http:'))).equals(sent));
});

it('a tls source gives https to a web server that has none', async (t) => {
  const scope = new Scope(t);
  const port = await serve(scope, createServer(echo));
  const source = `tls://127.0.0.1:0?cert=${pair.cert}&key=${pair.key}`;
  const { address } = await startLink(scope, source, `tcp://127.0.0.1:${port}`);
  assert.ok((await post(scope, address.replace('tls:', 'https:'))).equals(sent));
});

it('a tls sink gives plain http to a web server that has only https', async (t) => {
  const scope = new Scope(t);
  const port = await serve(scope, httpsServer());
  const { address } = await startLink(scope, 'tcp://127.0.0.1:0', `tls://127.0.0.1:${port}?ca=${ca}`);
  assert.ok((await post(scope, address.replace('tcp:', 'http:'))).equals(sent));
});

const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: c2x1aWNlIHNsdWljZSBzbA=='];
const WEBSOCKET = [...UPGRADE, 'Sec-WebSocket-Version: 13'];

describe('what a WebSocket source answers', () => {
  for (const [what, path, headers, says] of [
    ['a GET of its path', '/borg', [], /^HTTP\/1\.1 426 .*\r\nupgrade: websocket\r\n/is],
    ['a GET of its path with a query', '/borg?x=1', [], /^HTTP\/1\.1 426 /],
    ['a GET of another path', '/', [], /^HTTP\/1\.1 404 /],
    ['a path that is none', '/%zz', [], /^HTTP\/1\.1 404 /],
    ['an upgrade', '/borg', WEBSOCKET, /^HTTP\/1\.1 101 .*Sec-WebSocket-Accept: /s],
    [
      'an upgrade that offers our subprotocol',
      '/borg',
      [...WEBSOCKET, 'Sec-WebSocket-Protocol: chat, sluice.bytes.1'],
      /^HTTP\/1\.1 101 .*Sec-WebSocket-Protocol: sluice\.bytes\.1\r\n/s,
    ],
    ['an upgrade on another path', '/other', WEBSOCKET, /^HTTP\/1\.1 404 /],
    ['an upgrade by a web page', '/borg', [...WEBSOCKET, 'Origin: https://evil.example'], /^HTTP\/1\.1 403 /],
    ['an upgrade by an allowed web page', '/borg', [...WEBSOCKET, 'Origin: https://good.example'], /^HTTP\/1\.1 101 /],
    ['an old version of WebSocket', '/borg', [...UPGRADE, 'Sec-WebSocket-Version: 7'], /^HTTP\/1\.1 (?:400|426) /],
    ['an upgrade to something else', '/borg', ['Connection: Upgrade', 'Upgrade: h2c'], /^HTTP\/1\.1 4\d\d /],
  ] as const) {
    it(`to ${what}`, async (t) => {
      const scope = new Scope(t);
      const { address } = await startLink(scope, 'ws://127.0.0.1:0/borg?origin=https://good.example', 'exec:true');
      const url = new URL(address.replace('ws:', 'http:')).origin + path;
      const args = headers.flatMap((header) => ['-H', header]);
      const { stdout, stderr } = await run(scope, 'curl', ['-sS', '--http1.1', '-i', '-m', '2', ...args, url]);
      assert.match(stdout.toString('latin1'), says, stderr);
    });
  }
});
