/**
 * What is wired wrongly does not compile: `npm run check` fails if one of these lines would. There is nothing to run.
 */
import { PassThrough, type Duplex, type Readable, type Writable } from 'node:stream';
import { defineLayer, defineTransport, type Inbound, type Outbound } from '../../plugins/contract/index.ts';

declare const outbound: Outbound;
declare const inbound: Inbound;
declare const readable: Readable;
declare const duplex: Duplex;

/** Standard error goes from the sink to the source, and so does the status. */
export function direction(): void {
  const said: Readable | undefined = outbound.diagnostics;
  const shown: Writable | undefined = inbound.diagnostics;
  // @ts-expect-error -- what is accepted is shown something, and does not talk itself
  const wrong: Outbound = inbound;
  // @ts-expect-error -- a stream that only reads is no connection
  const half: Outbound = { stream: readable, peer: { address: '' } };
  // @ts-expect-error -- an inbound is told a status, not asked for it
  void [said, shown, wrong, half, inbound.exit];
}

const described = {
  contract: 1,
  name: 'x',
  schemes: ['x'],
  grammar: 'x:',
  summary: '',
  options: { size: { type: 'integer', default: 1, help: '' }, name: { type: 'string', help: '' } },
  capabilities: [],
} as const;

defineTransport({
  ...described,
  parse({ options }) {
    const size: number = options.size;
    // @ts-expect-error -- without a default it may be absent
    const name: string = options.name;
    // @ts-expect-error -- there is no such option
    void [size, name, options.sise];
    return { size };
  },
  async dial({ size }) {
    // @ts-expect-error -- the address is what parse has made of it
    void size.toUpperCase();
    return { stream: duplex, peer: { address: '' } };
  },
});

defineTransport({
  ...described,
  parse: () => 1,
  // @ts-expect-error -- a dial resolves with a connection, not with a stream
  dial: async () => new PassThrough(),
});

// @ts-expect-error -- of another contract
defineTransport({ ...described, contract: 2, parse: () => 1 });

// @ts-expect-error -- there is no such capability
defineTransport({ ...described, capabilities: ['half-closed'], parse: () => 1 });

const layer = { contract: 1, name: 'x', summary: '', options: {}, keeps: [], adds: [], parse: () => 1 } as const;

// @ts-expect-error -- a layer wraps into a stream that also writes
defineLayer({ ...layer, wrap: () => ({ stream: readable }) });

// @ts-expect-error -- a layer cannot add an exit status
defineLayer({ ...layer, adds: ['exit-status'], wrap: (_options, { stream }) => ({ stream }) });

// @ts-expect-error -- a layer sees the connection, not what goes beside it
defineLayer({ ...layer, wrap: (_options, { stream, diagnostics }) => ({ stream, diagnostics }) });
