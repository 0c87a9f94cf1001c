/**
 * The composition root: arguments in, exit status out. What goes wrong is told in one line
 * with its code; a stack trace is only for faults of our own.
 */
import { SluiceError, reasonOf } from '../errors.ts';
import { createProgram, isHelp } from './program.ts';

/** ms that something which should have been freed may keep the process after its work. */
const PATIENCE = 500;

/**
 * The process ends by itself when nothing is left open; `process.exit` is only for what was left open by mistake. It can
 * hang in V8's threads (nodejs/node#54918), and a client that waits for `connect` would wait for ever.
 */
export async function main(args: readonly string[]): Promise<void> {
  process.stdout.on('error', () => {}); // a reader that went away is the commands' business
  process.stderr.on('error', () => {});
  process.exitCode = await run(args);
  setTimeout(() => process.exit(), PATIENCE).unref();
}

async function run(args: readonly string[]): Promise<number> {
  const status = { code: 0 };
  try {
    await createProgram((code) => (status.code = code)).parseAsync([...args], { from: 'user' });
    return status.code;
  } catch (error) {
    if (isHelp(error)) return error.exitCode === 0 ? 0 : 255;
    return report(error);
  }
}

function report(error: unknown): number {
  if (SluiceError.is(error)) {
    process.stderr.write(`sluice: ${error.message} [${error.code}]\n`);
    return error.exit;
  }
  process.stderr.write(`sluice: a fault of Sluice itself, please report it [SLUICE_INTERNAL]: ${reasonOf(error)}\n`);
  if (error instanceof Error && error.stack) process.stderr.write(`${error.stack}\n`);
  return 70;
}
