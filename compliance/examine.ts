/** Runs the suite, one check after another, and tells how each went. */
import { Bench, soon } from './bench.ts';
import type { Check, Promised } from './check.ts';
import { bytes } from './promises/bytes.ts';
import { cancel } from './promises/cancel.ts';
import { diagnostics } from './promises/diagnostics.ts';
import { dial } from './promises/dial.ts';
import { endAndCut } from './promises/end-and-cut.ts';
import { errors } from './promises/errors.ts';
import { exitStatus } from './promises/exit-status.ts';
import { halfClose } from './promises/half-close.ts';
import { handOff } from './promises/hand-off.ts';
import { leaks } from './promises/leaks.ts';
import { listen } from './promises/listen.ts';
import { pressure } from './promises/pressure.ts';
import type { Subject } from './subject.ts';

export const PROMISES: readonly Promised[] = [
  listen,
  dial,
  bytes,
  pressure,
  halfClose,
  endAndCut,
  cancel,
  diagnostics,
  exitStatus,
  handOff,
  leaks,
  errors,
];

/** ms. A whole suite takes seconds; what hangs is told. */
const LONGEST = 60_000;

/** @throws what the check has found */
export async function runCheck({ title, run }: Check, subject: Subject): Promise<void> {
  const bench = new Bench();
  try {
    await soon(run(subject, bench), `"${title}"`, LONGEST);
  } finally {
    await bench.close();
  }
}

export interface Finding {
  readonly promise: string;
  readonly title: string;
  readonly milliseconds: number;
  /** What the check has found. */
  readonly error?: unknown;
  /** Why it was not made. */
  readonly skipped?: string;
}

/** @throws Error for a skip without a reason, or of what is no promise */
export function assertReasons({ options }: Subject): void {
  for (const [name, reason] of Object.entries(options.skip ?? {})) {
    if (!PROMISES.some((promise) => promise.name === name))
      throw new Error(`skip: there is no promise "${name}"; there are ${PROMISES.map((one) => one.name).join(', ')}`);
    if (typeof reason !== 'string' || reason.trim() === '') throw new Error(`skip: "${name}" needs a reason`);
  }
}

/** Every finding, as it is made. */
export async function* examine(subject: Subject): AsyncGenerator<Finding> {
  assertReasons(subject);
  for (const promise of PROMISES) {
    const skipped = subject.options.skip?.[promise.name];
    for (const check of promise.checksFor(subject)) {
      const begin = performance.now();
      const outcome = skipped === undefined ? await findingOf(check, subject) : { skipped };
      yield { promise: promise.name, title: check.title, milliseconds: performance.now() - begin, ...outcome };
    }
  }
}

const findingOf = (check: Check, subject: Subject): Promise<{ error?: unknown }> =>
  runCheck(check, subject).then(
    () => ({}),
    (error: unknown) => ({ error }),
  );
