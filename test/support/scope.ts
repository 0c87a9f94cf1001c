/**
 * What a test opens, it closes: a scope owns folders, gateways, processes and sockets, and frees them in reverse order
 * when the test is over, whatever happened. At the end of a test file `assertNothingLeaks` looks at what is left.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

type Cleanup = () => unknown;

export class Scope {
  readonly #cleanups: Cleanup[] = [];

  /** @param test the test, or the suite (`{ after }`), whose end is the end of the scope */
  constructor(test: { after(cleanup: () => Promise<void>): void }) {
    test.after(() => this.#close());
  }

  defer(cleanup: Cleanup): void {
    this.#cleanups.push(cleanup);
  }

  /** A folder of this test alone, that only we can write (a socket may stand directly in it). */
  folder(): string {
    const path = mkdtempSync(join(tmpdir(), 'sluice-test-'));
    this.defer(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 })); // a command whose gateway was killed still writes
    return path;
  }

  async #close(): Promise<void> {
    const failures: unknown[] = [];
    for (const cleanup of this.#cleanups.toReversed()) {
      try {
        await cleanup();
      } catch (error) {
        failures.push(error); // the others are still to be freed
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'what the test had opened could not be freed');
  }
}

const descriptors = (): string[] => readdirSync('/proc/self/fd');

/** Call at the top of a test file: after its last test no descriptor and no timer or child of its own may be left. */
export function assertNothingLeaks(): void {
  const before = descriptors().length;
  const idle = new Set([...process.getActiveResourcesInfo(), 'Timeout', 'Immediate']);
  const extra = (): string[] => process.getActiveResourcesInfo().filter((name) => !idle.has(name));
  after(async () => {
    const deadline = performance.now() + 8_000; // closing takes its time: what is left then is left for ever
    while ((extra().length > 0 || descriptors().length > before + 2) && performance.now() < deadline) await sleep(20);
    assert.deepEqual(extra(), [], 'handles are left open');
    assert.ok(descriptors().length <= before + 2, `descriptors: ${before} before, ${descriptors().length} after`);
  });
}
