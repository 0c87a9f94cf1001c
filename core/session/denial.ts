/** Why the listener said no. */
import { ProtocolError, printable } from './frames.ts';
import type { Body } from './handshake-body.ts';

/** `busy` may be otherwise next time; every other denial ends a resume for good. */
export type DenialCode = 'version' | 'token' | 'unknown-session' | 'offset' | 'busy';

const DENIALS: readonly string[] = ['version', 'token', 'unknown-session', 'offset', 'busy'] satisfies DenialCode[];

export class DeniedError extends Error {
  override readonly name = 'DeniedError';
  readonly code: DenialCode;
  /** Refused credentials: trying again with the same is of no use. */
  readonly final: boolean;
  constructor(code: DenialCode, message: string) {
    super(message);
    this.code = code;
    this.final = code === 'token';
  }
}

export function toDenial(body: Body): DeniedError {
  const code = body.text('code');
  if (!DENIALS.includes(code)) throw new ProtocolError(`a denial for an unknown reason, ${printable(code, 40)}`);
  return new DeniedError(code as DenialCode, printable(body.text('message'), 200));
}
