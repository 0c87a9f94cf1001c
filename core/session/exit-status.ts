/** How a command ended, as EXIT carries it: `{"code": 1}` or `{"signal": "SIGTERM"}`. Pure. */
import { constants } from 'node:os';
import { ProtocolError } from './frames.ts';
import type { ExitStatus } from '../../plugins/contract/index.ts';

export const encodeExit = (status: ExitStatus): Buffer => Buffer.from(JSON.stringify(status));

const isCode = (code: unknown): code is number =>
  Number.isInteger(code) && (code as number) >= 0 && (code as number) < 256;

/** A signal of this system; any other is shown to nobody as one, for programs act on what it says. */
const isSignal = (signal: unknown): signal is NodeJS.Signals =>
  typeof signal === 'string' && Object.hasOwn(constants.signals, signal);

/** @throws ProtocolError */
export function parseExit(payload: Buffer): ExitStatus {
  let status: { code?: unknown; signal?: unknown } | null;
  try {
    status = JSON.parse(payload.toString()) as typeof status;
  } catch (cause) {
    throw new ProtocolError('an exit status that cannot be read', { cause });
  }
  if (isCode(status?.code)) return { code: status.code };
  if (isSignal(status?.signal)) return { signal: status.signal };
  throw new ProtocolError('an exit status that is neither a code nor a signal');
}
