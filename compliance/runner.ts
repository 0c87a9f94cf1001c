/** The test runner that the suite runs on. */
import { createRequire } from 'node:module';

/** What every test runner has. */
export interface Runner {
  describe(name: string, define: () => void): unknown;
  it(name: string, run: () => Promise<void> | undefined): unknown;
}

const isRunner = (value: Partial<Runner>): value is Runner =>
  typeof value.describe === 'function' && typeof value.it === 'function';

/** The given one; else the one whose functions are global (Vitest with `globals`, Jest, Mocha); else node:test. */
export function runnerOf(given: Runner | undefined): Runner {
  if (given !== undefined) return given;
  const globals = globalThis as Partial<Runner>;
  return isRunner(globals) ? globals : (createRequire(import.meta.url)('node:test') as Runner);
}
