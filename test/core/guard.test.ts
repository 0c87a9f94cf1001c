/** What a plugin does wrong in a contract call concerns that call: it is told with the plugin's name, and the gateway runs on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { PassThrough, type Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { LIMITS } from '../../core/limits.ts';
import { guarded } from '../../core/guard.ts';
import {
  defineTransport,
  type Inbound,
  type ListenContext,
  type Outbound,
  type Transport,
} from '../../plugins/contract/index.ts';
import { RecordedLog, startGateway, type TestGateway } from '../support/gateway.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const base = {
  contract: 1,
  name: 'odd',
  schemes: ['odd'],
  grammar: 'odd:',
  summary: 'a plugin with a fault',
  options: {},
  capabilities: [],
  parse: () => ({}),
} as const;

const peer = { address: 'odd' };

const plugin = (methods: Partial<Transport>): Transport => defineTransport({ ...base, ...methods });

/** A link to the faulty sink, and what a client of it is left with. */
async function served(t: TestContext, methods: Partial<Transport>): Promise<{ gateway: TestGateway; reason: string }> {
  const scope = new Scope(t);
  const gateway = startGateway(scope);
  gateway.registry.register(plugin(methods));
  const { listener } = await gateway.open(`unix:${scope.folder()}/s`, 'odd:');
  await text(connect(listener.address.slice('unix:'.length)).on('error', () => {}));
  const { fields } = await gateway.log.untilMessage('closed');
  return { gateway, reason: String(fields['reason']) };
}

const dialForNoStatus = async (): Promise<Outbound> => ({
  stream: new PassThrough().end('x'),
  peer,
  exit: Promise.reject(new Error('no status')),
});

describe('a dial', () => {
  const faults: [name: string, dial: () => unknown, reason: RegExp][] = [
    [
      'throws a text',
      () => {
        throw 'no luck';
      },
      /dial odd:: "odd" threw no luck, which is no Error/,
    ],
    ['rejects with nothing', () => Promise.reject(), /"odd" threw undefined, which is no Error/],
    [
      'throws before it returns',
      () => {
        throw new Error('at once');
      },
      /dial odd:: at once/,
    ],
    ['resolves with nothing', async () => {}, /"odd" breaks the contract: a connection must be \{ stream, peer \}/],
    ['gives no stream', async () => ({ peer }), /the "stream" of a connection must be a Duplex/],
    ['names no peer', async () => ({ stream: new PassThrough() }), /a connection lacks "peer"/],
  ];
  for (const [name, dial, reason] of faults)
    it(`that ${name} is told by its name`, async (t) => {
      assert.match((await served(t, { dial: dial as () => Promise<Outbound> })).reason, reason);
    });

  it('that never settles is given up at the deadline, and one that comes late is freed', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { promise, resolve } = Promise.withResolvers<Outbound>();
    const started = Promise.withResolvers<void>();
    const over = served(t, { dial: () => (started.resolve(), promise) });
    await started.promise;
    t.mock.timers.tick(LIMITS.dialTimeout);
    assert.match((await over).reason, /no answer within 10 s/);
    const stream = new PassThrough();
    resolve({ stream, peer });
    await once(stream, 'close').catch(() => {});
    assert.ok(stream.destroyed);
  });

  it('whose exit rejects while nobody waits for it is a command that was lost', async (t) => {
    const { gateway, reason } = await served(t, { dial: dialForNoStatus });
    assert.match(reason, /exit status was lost/);
    const { fields } = await gateway.log.untilMessage('a plugin breaks the contract');
    assert.deepEqual(fields['what'], 'its promise "exit" rejected: no status');
  });

  it('whose connection rejects when it is cut concerns that connection alone, and is named', async (t) => {
    const scope = new Scope(t);
    const gateway = startGateway(scope);
    const stream = new PassThrough();
    const abort = (async () => {
      throw new Error('no cut');
    }) as unknown as () => void;
    gateway.registry.register(plugin({ dial: async () => ({ stream, peer, abort }) }));
    const { listener } = await gateway.open('tcp://127.0.0.1:0', 'odd:');
    const client = connect(Number(/\d+$/.exec(listener.address)?.[0]), '127.0.0.1');
    await gateway.log.untilMessage('opened');
    client.resetAndDestroy();
    const { fields } = await gateway.log.untilMessage('a plugin breaks the contract');
    assert.deepEqual(fields['what'], 'its "abort" rejected: no cut');
    await gateway.log.untilMessage('closed');
    assert.ok(stream.destroyed);
  });

  it('may give an instance of a class, with methods', async (t) => {
    let isAborted = false;
    class Own {
      readonly stream: Duplex = new PassThrough();
      get peer() {
        return peer;
      }
      abort(): void {
        isAborted = true;
        this.stream.destroy();
      }
    }
    const outbound = await guarded(plugin({ dial: async () => new Own() })).dial?.({}, {
      log: new RecordedLog().asLog(),
    } as never);
    outbound?.abort?.(new Error('cut'));
    assert.ok(isAborted && outbound?.stream.destroyed);
    assert.ok(t);
  });
});

/** A link from the faulty source to `cat`; `misbehave` is called with its first inbound. */
async function accepting(
  t: TestContext,
  misbehave: (context: ListenContext, inbound: Inbound, closed: Promise<void>) => void,
) {
  const scope = new Scope(t);
  const gateway = startGateway(scope);
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.defer(() => server.close());
  const stopped = Promise.withResolvers<void>();
  const listen: Transport['listen'] = async (_address, context) => {
    server.on('connection', (stream: Socket) => misbehave(context, { stream, peer }, stopped.promise));
    context.signal.addEventListener('abort', () => stopped.resolve());
    return { address: 'odd:', reach: 'local', closed: stopped.promise };
  };
  gateway.registry.register(plugin({ listen }));
  const opened = await gateway.open('odd:', 'exec:cat');
  const { port } = server.address() as { port: number };
  const dial = (): Socket => {
    const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    scope.defer(() => client.destroy());
    return client;
  };
  return { gateway, opened, dial };
}

describe('an accept', () => {
  it('that is called twice for one connection is named, and the connection served once', async (t) => {
    const { gateway, dial } = await accepting(t, ({ accept }, inbound) => {
      accept(inbound);
      accept({ ...inbound });
    });
    const client = dial();
    client.end('x');
    assert.equal(await text(client), 'x');
    const { fields } = await gateway.log.untilMessage('a plugin breaks the contract');
    assert.deepEqual([fields['transport'], fields['what']], ['odd', 'it called "accept" twice for one connection']);
  });

  it('that is called after the source has closed is named, and the connection freed', async (t) => {
    const { gateway, opened, dial } = await accepting(t, ({ accept }, inbound, closed) => {
      void closed.then(() => setImmediate(accept, inbound));
    });
    const client = dial();
    await once(client, 'connect');
    opened.stopListening();
    await once(client.resume(), 'end');
    client.destroy();
    const { fields } = await gateway.log.untilMessage('a plugin breaks the contract');
    assert.match(String(fields['what']), /"accept" after its "closed" had resolved/);
  });

  it('of something that is no connection is named, and nothing is thrown into the plugin', async (t) => {
    const { gateway, dial } = await accepting(t, ({ accept }, inbound) => {
      accept({ peer } as never);
      accept(undefined as never);
      inbound.stream.destroy();
    });
    await once(dial().resume(), 'end');
    await gateway.log.untilMessage('a plugin breaks the contract', 2);
  });
});

describe('a listen', () => {
  it('that never settles is given up, and its signal fires', async (t) => {
    const gateway = startGateway(new Scope(t));
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const called = Promise.withResolvers<AbortSignal>();
    gateway.registry.register(
      plugin({ listen: (_address, { signal }) => (called.resolve(signal), new Promise(() => {})) }),
    );
    const opening = gateway.open('odd:', 'exec:cat');
    const signal = await called.promise;
    t.mock.timers.tick(LIMITS.listenTimeout);
    await assert.rejects(opening, {
      code: 'SLUICE_LISTEN',
      message: /listen on odd:: "odd": its "listen" has not settled within 10 s/,
    });
    assert.ok(signal.aborted);
  });

  it('that resolves with half a listener is told what it lacks', async (t) => {
    const gateway = startGateway(new Scope(t));
    gateway.registry.register(plugin({ listen: async () => ({ address: 'odd:' }) as never }));
    await assert.rejects(gateway.open('odd:', 'exec:cat'), {
      code: 'SLUICE_LISTEN',
      message: /must resolve with \{ address, closed \}/,
    });
  });
});

const fail = (): never => {
  throw 'odd indeed';
};

const parseSlowly = (): object => {
  for (const until = performance.now() + LIMITS.slowParse + 20; performance.now() < until;);
  return {};
};

describe('what only tells something', () => {
  it('may fail, and is told as a fault of the plugin', async () => {
    const held = guarded(plugin({ occupies: fail, reach: fail, caution: fail, inspect: fail, dial: fail }));
    for (const method of ['occupies', 'reach'] as const)
      assert.throws(() => held[method]?.({}), {
        code: 'SLUICE_PLUGIN',
        message: `"odd": its "${method}" failed: odd indeed`,
      });
    assert.deepEqual(await held.inspect?.({}, 'sink'), ['"odd": its "inspect" failed: odd indeed']);
  });

  it('is parse, whose slowness is named as soon as there is a log', async (t) => {
    const { gateway } = await served(t, { parse: parseSlowly, dial: fail });
    const { fields } = await gateway.log.untilMessage('a plugin is slow');
    assert.equal(fields['transport'], 'odd');
    assert.ok(Number(fields['milliseconds']) >= LIMITS.slowParse);
  });
});
