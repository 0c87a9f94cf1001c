/** One promise of the contract, as data: the checks that a transport or layer has to pass. */
import type { Bench } from './bench.ts';
import type { Subject } from './subject.ts';

export interface Check {
  /** A sentence that goes on after the name of what is examined. */
  readonly title: string;
  /** @throws Error that says what was expected and what was got */
  run(subject: Subject, bench: Bench): Promise<void>;
}

export interface Promised {
  readonly name: string;
  /** The checks that concern this subject: what it claims is shown to work, what it does not claim is shown not to. */
  checksFor(subject: Subject): readonly Check[];
}
