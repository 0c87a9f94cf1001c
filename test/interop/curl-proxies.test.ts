/** Which sinks go through a proxy of the environment: asked of curl, whose rules ours are. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { parseAddress } from '../../core/address.ts';
import { Registry } from '../../core/registry.ts';
import { Tunnels } from '../../core/tunnels/tunnels.ts';
import { builtInTransports } from '../../transports/index.ts';
import { run } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const registry = new Registry(builtInTransports({ interrupted: () => false }, new Tunnels()));

/** A proxy that answers everything with 418. Resolves with its `HOST:PORT`. */
async function teapot(scope: Scope): Promise<string> {
  const proxy = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end('HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n'));
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  scope.defer(() => proxy.close());
  return `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

/** Whether curl asks the proxy; what it would reach without one is closed. */
async function asksByCurl(scope: Scope, url: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  const words = [
    '-s',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code} %{http_connect}',
    '--max-time',
    '5',
    '--connect-to',
    '::127.0.0.1:1',
  ];
  const { stdout } = await run(scope, 'curl', [...words, url], { env: { PATH: process.env['PATH'], ...env } });
  return stdout.toString().includes('418');
}

/** Whether we would, by the variables that our environment has meanwhile. */
function asksByUs(address: string, env: Readonly<Record<string, string>>): boolean {
  const before = { ...process.env };
  try {
    for (const name of Object.keys(process.env)) if (/_proxy$/i.test(name)) delete process.env[name];
    Object.assign(process.env, env);
    const { transport, parsed } = parseAddress(address, { registry, role: 'sink', folder: '/' });
    return transport.via?.(parsed) !== undefined;
  } finally {
    for (const name of Object.keys(env)) delete process.env[name];
    Object.assign(process.env, before);
  }
}

const VARIABLES = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'];

const EXEMPT: readonly (readonly [noProxy: string, ...hosts: string[]])[] = [
  ['a.example', 'a.example', 'b.a.example', 'ba.example', 'A.Example', 'a.example.', 'example'],
  ['.a.example', 'a.example', 'b.a.example', 'ba.example'],
  ['x, a.example,,y.example', 'a.example', 'x', 'y.example', 'z.example'],
  ['x a.example', 'a.example', 'x'],
  ['*', 'a.example', '10.1.2.3'],
  ['*.example', 'a.example'],
  ['a.example:443', 'a.example'],
  ['10.1.0.0/16', '10.1.2.3', '10.2.0.1', 'a.example'],
  ['10.1.2.3', '10.1.2.3', '10.1.2.30', 'a.10.1.2.3.example'],
  ['2001:db8::1', '[2001:db8::1]'],
];

describe('as curl does', () => {
  for (const name of VARIABLES) {
    it(`${name} counts for the same schemes`, async (t) => {
      const scope = new Scope(t);
      const env = { [name]: `http://${await teapot(scope)}` };
      assert.equal(asksByUs('ws://a.example', env), await asksByCurl(scope, 'http://a.example', env), 'ws');
      assert.equal(asksByUs('wss://a.example', env), await asksByCurl(scope, 'https://a.example', env), 'wss');
    });
  }

  for (const [noProxy, ...hosts] of EXEMPT) {
    for (const variable of ['no_proxy', 'NO_PROXY']) {
      it(`${variable}=${JSON.stringify(noProxy)} means the same hosts`, async (t) => {
        const scope = new Scope(t);
        const env = { https_proxy: await teapot(scope), [variable]: noProxy };
        for (const host of hosts)
          assert.equal(asksByUs(`wss://${host}`, env), await asksByCurl(scope, `https://${host}`, env), host);
      });
    }
  }
});
