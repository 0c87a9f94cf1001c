/** Dialing through a proxy: what addresses say, and what proxies do, well or badly. Real programs are in test/interop. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { parseAddress } from '../../core/address.ts';
import { dial } from '../../core/dial.ts';
import { inspectAddress } from '../../core/inspect.ts';
import { Registry } from '../../core/registry.ts';
import { readSecretAt } from '../../core/token.ts';
import { Tunnels } from '../../core/tunnels/tunnels.ts';
import type { Outbound } from '../../plugins/contract/index.ts';
import { builtInTransports } from '../../transports/index.ts';
import { RecordedLog } from '../support/gateway.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const registry = new Registry(builtInTransports({ interrupted: () => false }, new Tunnels()));
const read = (text: string, folder = '/') => parseAddress(text, { registry, role: 'sink', folder });

/** Dials, as the core does; the scope frees what comes of it. */
async function dialed(scope: Scope, address: string, cancel = new AbortController().signal): Promise<Outbound> {
  const folder = scope.folder();
  const outbound = await dial(
    read(address, folder),
    {
      log: new RecordedLog().asLog(),
      folders: { runtime: folder, state: folder },
      protocols: [],
      link: 'test',
      peer: { address: 'test' },
      readSecret: readSecretAt,
    },
    cancel,
  );
  outbound.stream.on('error', () => {});
  scope.defer(() => outbound.stream.destroy());
  return outbound;
}

interface Fake {
  readonly port: number;
  /** What it was asked, whole. */
  readonly asked: Promise<Buffer>;
  /** Resolves when the client of the first connection to it has closed it. */
  readonly closed: Promise<void>;
}

/** A proxy of ours that answers the n-th packet with the n-th answer, and then does what `then` says. */
async function fake(
  scope: Scope,
  answers: readonly (string | Buffer)[],
  then?: (socket: Socket) => void,
): Promise<Fake> {
  const [asked, closed] = [Promise.withResolvers<Buffer>(), Promise.withResolvers<void>()];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    scope.defer(() => socket.destroy());
    socket.on('error', () => {});
    for (const event of ['end', 'close']) socket.once(event, () => closed.resolve());
    const packets: Buffer[] = [];
    const onData = (packet: Buffer): void => {
      packets.push(packet);
      const answer = answers[packets.length - 1];
      if (packets.length >= answers.length) {
        socket.off('data', onData);
        asked.resolve(Buffer.concat(packets));
      }
      if (answer !== undefined) socket.write(answer);
      if (packets.length >= answers.length) then?.(socket);
    };
    socket.on('data', onData);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.defer(() => server.close());
  return { port: (server.address() as AddressInfo).port, asked: asked.promise, closed: closed.promise };
}

const YES = 'HTTP/1.1 200 Connection established\r\n\r\n';
const SOCKS_METHOD = Buffer.from([5, 0]);
const SOCKS_YES = Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
const ADDRESS = 'tcp://target.example:7';

/** Both kinds, agreeing; what is appended comes in one packet with the agreement. */
const KINDS = {
  http: (early: string) => ['http', [Buffer.from(`${YES}${early}`)]] as const,
  socks5h: (early: string) => ['socks5h', [SOCKS_METHOD, Buffer.concat([SOCKS_YES, Buffer.from(early)])]] as const,
};

/** Sets variables for one test. The variables of proxies that were there before are gone meanwhile. */
function withEnvironment(scope: Scope, variables: Readonly<Record<string, string>>): void {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (/_proxy$/i.test(name)) delete process.env[name];
  Object.assign(process.env, variables);
  scope.defer(() => {
    for (const name of Object.keys(variables)) delete process.env[name];
    Object.assign(process.env, before);
  });
}

/** The proxy that an address goes through, as the log tells it. */
const via = (address: string): string | undefined => {
  const { transport, parsed } = read(address);
  return transport.via?.(parsed)?.replace('the proxy ', '');
};

describe('an address with a proxy', () => {
  it('takes http, https, socks5 and socks5h with a port, or "off"', () => {
    for (const proxy of ['http://p:8080', 'https://p:443/', 'socks5://[::1]:1080', 'socks5h://p:1', 'off'])
      assert.equal(read(`tcp://h:1?proxy=${proxy}`).text, `tcp://h:1?proxy=${proxy}`);
  });

  it('is refused with the remedy where the proxy cannot be read', () => {
    for (const [options, says] of [
      ['proxy=p:8080', /expected http:\/\/HOST:PORT or off, got "p:8080"/],
      ['proxy=http://p', /expected HOST:PORT/],
      ['proxy=socks4://p:1', /expected http, https, socks5 or socks5h before "::?\/\/", got "socks4"/],
      ['proxy=http://p:1/path', /expected http:\/\/HOST:PORT or off/],
      ['proxy=off&proxy-auth=env:X', /"off" leaves nothing for "proxy-auth"/],
      ['proxy=http://p:1&proxy-auth=me:secret', /expected file:PATH, env:NAME or credential:NAME/],
    ] as const)
      assert.throws(() => read(`tcp://h:1?${options}`), says);
    assert.throws(() => read('ws+unix:/s:/p?proxy=http://p:1'), /unknown option "proxy"/);
    const context = { registry, role: 'source', folder: '/' } as const;
    assert.throws(() => parseAddress('tcp://h:1?proxy=off', context), /belongs to a sink/);
  });

  it('holds no password: it is refused with the remedy, and not shown however it is written', () => {
    for (const options of [
      'proxy=http://me:s3cret@p:1',
      'proxy=me:s3cret@p:1',
      'proxy=http%3A%2F%2Fme%3As3cret%40p:1',
      'pro%78y=http://me:s3cret@p:1',
      'pro%78y=http%3A%2F%2Fme%3As3cret%40p:1',
      'proxi=http://me:s3cret@p:1',
      'proxy=http://p:1&proxy-auth=me:s3cret',
      'proxy=%zz&proxy=http://me:s3cret@p:1',
    ]) {
      assert.throws(
        () => read(`wss://h:1?${options}`),
        (error: Error) =>
          !error.message.includes('s3cret') && /expected|proxy-auth=file:PATH|unknown|percent/.test(error.message),
        options,
      );
    }
    assert.throws(
      () => read('tcp://h:1?proxy=http://me:x@p:1'),
      /have no place in an address; .*"proxy-auth=file:PATH"/,
    );
  });

  it('whose target is a loopback address means that of the proxy: no token goes there unencrypted', () => {
    assert.ok(read('tcp://127.0.0.1:1?session=yes&token=env:T'));
    assert.throws(
      () => read('tcp://127.0.0.1:1?session=yes&token=env:T&proxy=http://p:1'),
      /would be sent unencrypted/,
    );
    assert.ok(read('wss://127.0.0.1:1?token=env:T&proxy=http://p:1'));
  });
});

describe('what a proxy is asked', () => {
  it('by HTTP is CONNECT with the target’s name and the credentials of the file', async (t) => {
    const scope = new Scope(t);
    const file = join(scope.folder(), 'auth');
    writeFileSync(file, 'me:pass:word\n', { mode: 0o600 });
    const { port, asked } = await fake(scope, [YES]);
    await dialed(scope, `${ADDRESS}?proxy=http://127.0.0.1:${port}&proxy-auth=file:${file}`);
    const lines = (await asked).toString().split('\r\n');
    assert.equal(lines[0], 'CONNECT target.example:7 HTTP/1.1');
    assert.ok(lines.some((line) => line.toLowerCase() === 'host: target.example:7'));
    assert.ok(lines.includes(`proxy-authorization: Basic ${Buffer.from('me:pass:word').toString('base64')}`));
  });

  it('by socks5h is the name, by socks5 the address that we found', async (t) => {
    const scope = new Scope(t);
    const request = async (scheme: string, target: string): Promise<string> => {
      const { port, asked } = await fake(scope, [SOCKS_METHOD, SOCKS_YES]);
      await dialed(scope, `tcp://${target}:7?proxy=${scheme}://127.0.0.1:${port}`);
      return (await asked).subarray(3).toString('latin1');
    };
    assert.equal(await request('socks5h', 'target.example'), '\x05\x01\x00\x03\x0etarget.example\x00\x07');
    assert.equal(await request('socks5h', '1.2.3.4'), '\x05\x01\x00\x01\x01\x02\x03\x04\x00\x07');
    const found = await request('socks5', 'localhost');
    assert.ok(
      ['\x01\x7f\x00\x00\x01', `\x04${'\x00'.repeat(15)}\x01`].includes(found.slice(3, -2)),
      JSON.stringify(found),
    );
  });

  it('has the percent-decoded credentials of a variable', async (t) => {
    const scope = new Scope(t);
    const { port, asked } = await fake(scope, [YES]);
    withEnvironment(scope, { ALL_PROXY: `http://me:a%40b%3A@127.0.0.1:${port}` });
    await dialed(scope, ADDRESS);
    assert.match((await asked).toString(), new RegExp(`Basic ${Buffer.from('me:a@b:').toString('base64')}`));
  });
});

describe('through a proxy', () => {
  for (const [name, kind] of Object.entries(KINDS)) {
    it(`by ${name} what a target says at once, and its end, are not lost to a reader that comes late`, async (t) => {
      const scope = new Scope(t);
      const [scheme, answers] = kind('early');
      const { port } = await fake(scope, answers, (socket) => socket.end(' and late'));
      const { stream } = await dialed(scope, `${ADDRESS}?proxy=${scheme}://127.0.0.1:${port}`);
      for (let turn = 0; turn < 50; turn += 1) await setImmediate();
      assert.equal((await buffer(stream)).toString(), 'early and late');
    });

    it(`by ${name} an end is only an end: the reply that comes after it arrives`, async (t) => {
      const scope = new Scope(t);
      const [scheme, answers] = kind('');
      const { port } = await fake(scope, answers, (socket) => {
        void buffer(socket).then((got) => socket.end(`got ${got.toString()}`));
      });
      const { stream } = await dialed(scope, `${ADDRESS}?proxy=${scheme}://127.0.0.1:${port}`);
      stream.end('request');
      assert.equal((await buffer(stream)).toString(), 'got request');
    });

    it(`by ${name} the target’s end leaves our direction open`, async (t) => {
      const scope = new Scope(t);
      const [scheme, answers] = kind('');
      const got = Promise.withResolvers<string>();
      const { port } = await fake(scope, answers, (socket) => {
        socket.end();
        void buffer(socket).then((all) => got.resolve(all.toString()));
      });
      const { stream } = await dialed(scope, `${ADDRESS}?proxy=${scheme}://127.0.0.1:${port}`);
      await buffer(stream);
      stream.end('said after its end');
      assert.equal(await got.promise, 'said after its end');
    });

    it(`by ${name} our cut is a reset`, async (t) => {
      const scope = new Scope(t);
      const [scheme, answers] = kind('');
      const reset = Promise.withResolvers<NodeJS.ErrnoException>();
      const { port } = await fake(scope, answers, (socket) => socket.resume().once('error', reset.resolve));
      const { abort } = await dialed(scope, `${ADDRESS}?proxy=${scheme}://127.0.0.1:${port}`);
      abort?.(new Error('cut'));
      assert.equal((await reset.promise).code, 'ECONNRESET');
    });

    it(`by ${name} that never answers, giving up frees the connection to it`, async (t) => {
      const scope = new Scope(t);
      const { port, asked, closed } = await fake(scope, [Buffer.alloc(0)]);
      const cancel = new AbortController();
      const dialing = dialed(scope, `${ADDRESS}?proxy=${name}://127.0.0.1:${port}`, cancel.signal);
      await asked;
      cancel.abort();
      await assert.rejects(dialing, { code: 'SLUICE_DIAL', message: /the source went away/ });
      await closed;
    });
  }
});

const AT = String.raw`dial tcp://target\.example:7\S*: the proxy \w+://127\.0\.0\.1:\d+: `;

describe('a proxy that does not do it is named, with what it said and the remedy', () => {
  for (const [scheme, answers, code, says] of [
    [
      'http',
      ['HTTP/1.1 407 Who?\r\n\r\n'],
      'SLUICE_DENIED',
      'it answered "407 Who\\?" when asked for target.example:7: .*proxy-auth=file:PATH',
    ],
    [
      'http',
      ['HTTP/1.1 403 Filtered\r\n\r\nno'],
      'SLUICE_DENIED',
      'it answered "403 Filtered" .*: it does not allow that$',
    ],
    [
      'http',
      ['HTTP/1.1 502 Bad Gateway\r\n\r\n'],
      'SLUICE_DIAL',
      'it answered "502 Bad Gateway" .*: it could not reach it$',
    ],
    ['http', ['SSH-2.0-OpenSSH\r\n'], 'SLUICE_DIAL', 'what answers there is no HTTP proxy$'],
    ['socks5h', [Buffer.from([5, 255])], 'SLUICE_DENIED', '.*proxy-auth=file:PATH'],
    [
      'socks5h',
      [SOCKS_METHOD, Buffer.from([5, 2, 0, 1, 0, 0, 0, 0, 0, 0])],
      'SLUICE_DENIED',
      'it refused target.example:7: it does not allow that$',
    ],
    [
      'socks5h',
      [SOCKS_METHOD, Buffer.from([5, 4, 0, 1, 0, 0, 0, 0, 0, 0])],
      'SLUICE_DIAL',
      'it refused target.example:7: the host is unreachable$',
    ],
    ['socks5h', ['HTTP/1.1 400 Bad\r\n'], 'SLUICE_DIAL', 'what answers there is no SOCKS5 proxy$'],
  ] as const) {
    it(`${scheme}: ${JSON.stringify(String(answers.at(-1)))}`, async (t) => {
      const scope = new Scope(t);
      const { port, closed } = await fake(scope, answers);
      const dialing = dialed(scope, `${ADDRESS}?proxy=${scheme}://127.0.0.1:${port}`);
      await assert.rejects(dialing, { code, message: new RegExp(`^${AT}${says}`) });
      await closed;
    });
  }

  for (const scheme of ['http', 'socks5h'] as const) {
    it(`${scheme}: one that closes`, async (t) => {
      const scope = new Scope(t);
      const { port } = await fake(scope, [''], (socket) => socket.end());
      const dialing = dialed(scope, `${ADDRESS}?proxy=${scheme}://127.0.0.1:${port}`);
      await assert.rejects(dialing, { message: new RegExp(`^${AT}it closed without an answer`) });
    });
  }

  it('and one of the environment with its variable, without its password', async (t) => {
    const scope = new Scope(t);
    const { port } = await fake(scope, ['HTTP/1.1 407 Who?\r\n\r\n']);
    withEnvironment(scope, { ALL_PROXY: `http://me:s3cret@127.0.0.1:${port}` });
    await assert.rejects(dialed(scope, ADDRESS), (error: Error) => {
      assert.match(error.message, /\(ALL_PROXY\): .*did not accept the user and the password; .*"proxy=off"/);
      const chain = [error, error.cause, (error.cause as Error).cause];
      assert.ok(!chain.some((one) => JSON.stringify(one, Object.getOwnPropertyNames(one)).includes('s3cret')));
      return true;
    });
  });
});

describe('the file with the credentials', () => {
  it('that others can read, that is missing or that holds no user is refused, by check too, and is not shown', async (t) => {
    const scope = new Scope(t);
    const file = join(scope.folder(), 'auth');
    const address = `${ADDRESS}?proxy=http://127.0.0.1:1&proxy-auth=file:${file}`;
    const refused = async (says: RegExp): Promise<void> =>
      assert.rejects(
        dialed(scope, address),
        (error: Error) => says.test(error.message) && !/s3cret/.test(error.message),
      );
    await refused(/it is not there/);
    assert.match((await inspectAddress(read(address))).join('\n'), /it is not there/);
    writeFileSync(file, 'me:s3cret\n', { mode: 0o600 });
    chmodSync(file, 0o644);
    await refused(/can be read by others; run: chmod 600/);
    assert.match((await inspectAddress(read(address))).join('\n'), /can be read by others/);
    writeFileSync(file, 's3cret\n');
    chmodSync(file, 0o600);
    await refused(/expected one line, USER:PASSWORD/);
  });
});

describe('the variables of the environment', () => {
  it('count by the scheme of the sink, and the lower case first', (t) => {
    const scope = new Scope(t);
    withEnvironment(scope, {
      HTTPS_PROXY: 's:1',
      http_proxy: 'http://h:2',
      ALL_PROXY: 'socks5h://a:3',
      HTTP_PROXY: 'never:9',
    });
    assert.equal(via('wss://x'), 'http://s:1 (HTTPS_PROXY)');
    assert.equal(via('tls://x:1'), 'http://s:1 (HTTPS_PROXY)');
    assert.equal(via('ws://x'), 'http://h:2 (http_proxy)');
    assert.equal(via('tcp://x:1'), 'socks5h://a:3 (ALL_PROXY)');
    assert.equal(via('ws+unix:/s:/p'), undefined);
    withEnvironment(scope, { HTTPS_PROXY: 's:1', https_proxy: 'https://low', all_proxy: '' });
    assert.equal(via('wss://x'), 'https://low:443 (https_proxy)');
    assert.equal(via('tcp://x:1'), undefined);
    withEnvironment(scope, { HTTP_PROXY: 'http://h:2' });
    assert.equal(via('ws://x'), undefined);
  });

  it('do not count for loopback addresses, nor where the address says what to do', (t) => {
    withEnvironment(new Scope(t), { ALL_PROXY: 'http://a:1', NO_PROXY: 'named' });
    for (const host of ['localhost', '127.3.2.1', '[::1]', 'named', 'a.named'])
      assert.equal(via(`tcp://${host}:1`), undefined);
    Object.assign(process.env, { NO_PROXY: '10.0.0.0/8 2001:db8::/32' });
    for (const host of ['10.1.2.3', '[2001:db8::1]']) assert.equal(via(`tcp://${host}:1`), undefined);
    for (const host of ['11.1.2.3', '[2001:db9::1]']) assert.ok(via(`tcp://${host}:1`));
    assert.equal(via('tcp://x:1?proxy=off'), undefined);
    assert.equal(via('tcp://named:1?proxy=http://mine:1'), 'http://mine:1');
    assert.equal(via('tcp://127.0.0.1:1?proxy=http://mine:1'), 'http://mine:1');
  });

  it('that cannot be read are told by the dial and by check, without what may be a password', async (t) => {
    const scope = new Scope(t);
    for (const value of [
      'socks4://me:s3cret@a:1',
      'http://me:s3cret@a:99999',
      'http://me:%zzs3cret@a:1',
      'http://me:s3cret@',
    ]) {
      withEnvironment(scope, { ALL_PROXY: value });
      const faults = await inspectAddress(read(ADDRESS));
      assert.match(faults.join('\n'), /^the variable ALL_PROXY: /);
      assert.ok(!faults.join('\n').includes('s3cret'), faults.join('\n'));
      await assert.rejects(dialed(scope, ADDRESS), /the variable ALL_PROXY: /);
    }
  });
});

it('without a proxy nothing of this is in the way', async (t) => {
  const scope = new Scope(t);
  withEnvironment(scope, {});
  const server = createServer((socket) => socket.end('direct')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.defer(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { stream } = await dialed(scope, `tcp://127.0.0.1:${port}`);
  assert.equal((await buffer(stream)).toString(), 'direct');
});
