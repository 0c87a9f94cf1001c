/**
 * `sluice/compliance`: what every transport and every layer promises, as tests that its author runs.
 *
 *     import { transportSuite } from 'sluice/compliance';
 *     transportSuite(serial, { source: (n) => `serial:test-${n}` });
 *
 * It runs on node:test, or on Vitest (`transportSuite(serial, options, { describe, it })`), and on whatever else has these two.
 */
import type { Layer, Transport } from '../plugins/contract/index.ts';
import { PROMISES, assertReasons, runCheck } from './examine.ts';
import { memoryTransport } from './memory.ts';
import { runnerOf, type Runner } from './runner.ts';
import { Subject, type TransportOptions } from './subject.ts';

export { bridgeCommand } from './bridge.ts';
export { Bench, soon } from './bench.ts';
export { chaosPair, chaosProxy, seeded, withSeed, type Chaos, type ChaosPair, type ChaosProxy } from './chaos.ts';
export { examine, type Finding } from './examine.ts';
export { memoryPair, memoryTransport } from './memory.ts';
export type { Runner } from './runner.ts';
export { Subject, type Far, type TransportOptions } from './subject.ts';

export interface LayerOptions extends Pick<TransportOptions, 'skip'> {
  /** Options of the layer in a source, as they stand in an address: `zstd.level=3&…`. */
  readonly source?: string;
  /** The same in a sink. */
  readonly sink?: string;
}

/** The subject that a layer is: over a transport in memory. */
export function layerSubject(layer: Layer, { source = '', sink = source, skip = {} }: LayerOptions = {}): Subject {
  const address = (name: string, options: string): string =>
    `${layer.name}+memory:${name}${options === '' ? '' : `?${options}`}`;
  const places: TransportOptions = {
    skip,
    source: (n) => address(`${n}`, source),
    sink: (bound) => address(bound.replace(/^.*memory:/, ''), sink),
  };
  return new Subject(memoryTransport(), places, layer);
}

function describeSubject(subject: Subject, given: Runner | undefined): void {
  assertReasons(subject);
  const { describe, it } = runnerOf(given);
  describe(`${subject.name}: keeps its promises`, () => {
    for (const promise of PROMISES) {
      const checks = promise.checksFor(subject);
      const reason = subject.options.skip?.[promise.name];
      if (checks.length === 0) continue;
      describe(reason === undefined ? promise.name : `${promise.name} (not examined: ${reason})`, () => {
        for (const check of checks)
          it(check.title, () => (reason === undefined ? runCheck(check, subject) : undefined));
      });
    }
  });
}

/** Tests that a transport keeps every promise of the contract. */
export function transportSuite(transport: Transport, options: TransportOptions, runner?: Runner): void {
  describeSubject(new Subject(transport, options), runner);
}

/** Tests that a layer keeps every promise of the contract, over a transport in memory. */
export function layerSuite(layer: Layer, options: LayerOptions = {}, runner?: Runner): void {
  describeSubject(layerSubject(layer, options), runner);
}
