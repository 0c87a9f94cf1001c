/** For each promise one transport that breaks it and keeps all others: what the suite has to catch. */
import { PassThrough, Transform, type Duplex } from 'node:stream';
import { memoryTransport } from '../../compliance/index.ts';
import { through, type Inbound, type Outbound, type Transport } from '../../plugins/contract/index.ts';

type Dial = NonNullable<Transport['dial']>;
type Listen = NonNullable<Transport['listen']>;

const good = (): Transport & { dial: Dial; listen: Listen } => memoryTransport() as never;

/** What is dialed, changed. */
function dialing(change: (outbound: Outbound) => Outbound): Transport {
  const transport = good();
  return { ...transport, dial: async (...given) => change(await transport.dial(...given)) };
}

/** What is accepted, changed. */
function accepting(change: (inbound: Inbound) => Inbound): Transport {
  const transport = good();
  const listen: Listen = (address, context) =>
    transport.listen(address, { ...context, accept: (inbound) => context.accept(change(inbound)) });
  return { ...transport, listen };
}

const passing = (): PassThrough => new PassThrough();

/** Takes all that it is given at once, whoever reads it or not. */
class Greedy extends PassThrough {
  constructor() {
    super({ highWaterMark: 1024 * 1024 * 1024 });
  }
}

const without = (transport: Transport, capability: string): Transport => ({
  ...transport,
  capabilities: transport.capabilities.filter((one) => one !== capability),
});

/** One bit of a long transfer is another. */
function flipping(): Transform {
  let count = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const copy = Buffer.from(chunk);
      const at = 1_500_000 - count;
      if (at >= 0 && at < copy.length) copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
      count += chunk.length;
      done(null, copy);
    },
  });
}

/** An end of one direction is made one of both. */
function closingBoth(stream: Duplex): Duplex {
  stream.once('end', () => stream.end());
  return stream;
}

/** What is destroyed says a proper end before. */
function polite(outbound: Outbound): Outbound {
  const { stream } = outbound;
  const destroy = stream.destroy.bind(stream);
  stream.destroy = (error?: Error) => {
    if (stream.writableEnded || stream.destroyed) return destroy(error);
    setTimeout(destroy, 20, error);
    return stream.end();
  };
  return outbound;
}

function neverClosed(): Transport {
  const transport = good();
  const listen: Listen = async (...given) => ({ ...(await transport.listen(...given)), closed: new Promise(() => {}) });
  return { ...transport, listen };
}

function twice(): Transport {
  const transport = good();
  const listen: Listen = (address, context) =>
    transport.listen(address, {
      ...context,
      accept: (inbound) => {
        context.accept(inbound);
        context.accept(inbound);
      },
    });
  return { ...transport, listen };
}

function reachesNobody(): Transport {
  const transport = good();
  const dial: Dial = (address, context) =>
    transport.dial(address, context).catch((error: unknown) => {
      if (context.signal.aborted) throw error;
      return { stream: new PassThrough(), peer: { address: 'nobody' } };
    });
  return { ...transport, dial };
}

function deaf(): Transport {
  const transport = good();
  const dial: Dial = (address, context) =>
    context.signal.aborted && context.link === 'suite'
      ? new Promise((_resolve, reject) => setTimeout(reject, 3_500, new Error('late')))
      : transport.dial(address, context);
  return { ...transport, dial };
}

function keepsTimers(): Transport {
  return dialing((outbound) => {
    setTimeout(() => {}, 8_000);
    return outbound;
  });
}

function throwsTexts(): Transport {
  const transport = good();
  const parse: Transport['parse'] = (input) => {
    if (input.target === '') throw 'no name';
    return transport.parse(input);
  };
  return { ...transport, parse };
}

function silentStatus(outbound: Outbound): Outbound {
  const { exit: _lost, ...rest } = outbound;
  return { ...rest, exit: new Promise(() => {}) };
}

/** The promise, what the animal does, and how it is made. */
export const ZOO: readonly (readonly [promise: string, what: string, make: () => Transport])[] = [
  ['listen', 'never says that it has closed', neverClosed],
  ['listen', 'accepts each connection twice', twice],
  ['dial', 'connects to nobody', reachesNobody],
  [
    'bytes',
    'turns a bit over',
    () =>
      dialing((outbound) => ({
        ...outbound,
        stream: through(outbound.stream, { outgoing: flipping(), incoming: passing() }),
      })),
  ],
  [
    'pressure',
    'takes all that it is given',
    () =>
      dialing((outbound) => ({
        ...outbound,
        stream: through(outbound.stream, { outgoing: new Greedy(), incoming: passing() }),
      })),
  ],
  [
    'half-close',
    'ends both directions with one',
    () => accepting((one) => ({ ...one, stream: closingBoth(one.stream) })),
  ],
  ['half-close', 'can half-close and does not say so', () => without(good(), 'half-close')],
  ['end-and-cut', 'shows a break as an end', () => dialing(polite)],
  ['end-and-cut', 'proves ends and does not say so', () => without(good(), 'proves-end')],
  ['end-and-cut', 'tells cuts and does not say so', () => without(good(), 'tells-cut')],
  ['cancel', 'does not look at the signal of a dial', deaf],
  ['diagnostics', 'loses them', () => dialing((one) => ({ ...one, diagnostics: new PassThrough() }))],
  ['diagnostics', 'has them and does not say so', () => without(good(), 'diagnostics')],
  ['exit-status', 'never tells it', () => dialing(silentStatus)],
  ['exit-status', 'has one and does not say so', () => without(good(), 'exit-status')],
  ['hand-off', 'claims what it has not', () => ({ ...good(), capabilities: [...good().capabilities, 'hand-off'] })],
  ['leaks', 'keeps a timer for each connection', keepsTimers],
  ['errors', 'throws what is no Error', throwsTexts],
];
