/** A layer over a wire that misbehaves. */
import { chaosPair, type Chaos } from './chaos.ts';
import type { Bench } from './bench.ts';
import { Subject, type Pair } from './subject.ts';
import { defineTransport, type Inbound, type Transport } from '../plugins/contract/index.ts';

/** Connections in memory whose ends are cut, and whose pieces are small, as `chaos` says. */
export function chaosTransport(chaos: Chaos): Transport {
  let accept: ((inbound: Inbound) => void) | undefined;
  const peer = { address: 'chaos' };
  return defineTransport({
    contract: 1,
    name: 'chaos',
    schemes: ['chaos'],
    grammar: 'chaos:',
    summary: 'a wire that misbehaves',
    options: {},
    capabilities: ['half-close'],
    parse: () => ({}),
    async listen(_address, context) {
      ({ accept } = context);
      const closed = new Promise<void>((resolve) => {
        context.signal.addEventListener('abort', () => resolve(), { once: true });
      });
      return { address: 'chaos:', reach: 'local', closed };
    },
    async dial() {
      const { near, far } = chaosPair(chaos);
      accept?.({ stream: far, peer });
      return { stream: near, peer };
    },
  });
}

const onWire = (text: string): string => text.replace(/memory:[^?]*/, 'chaos:');

/** Both ends of the subject's layer, over a wire of that kind. */
export async function throughChaos(subject: Subject, bench: Bench, chaos: Chaos): Promise<Pair> {
  const { layer, options } = subject;
  const { source = () => '', sink } = options;
  const over = new Subject(
    chaosTransport(chaos),
    {
      ...options,
      source: (n, folder) => onWire(source(n, folder)),
      ...(sink && { sink: () => onWire(sink('memory:x')) }),
    },
    layer,
  );
  return over.open(bench);
}
