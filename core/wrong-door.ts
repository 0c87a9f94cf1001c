/**
 * A plain dial that comes to a source of sessions is told so in words, which are for a person and no data: a program that
 * reads them from a stand-in's output would take them for the reply, and their end for success.
 */
import type { Address } from './address.ts';
import { SluiceError } from './errors.ts';
import { WRONG_DOOR } from './session/wrong-door.ts';

const GREETING = Buffer.from(WRONG_DOOR);

const describe = ({ text, transport }: Address): SluiceError => {
  const remedy = transport.literal
    ? 'let it lead to a plain source'
    : `write ${text}${text.includes('?') ? '&' : '?'}session=yes`;
  return new SluiceError(
    'SLUICE_DIAL',
    `dial ${text}: a sluice is there that speaks nothing but sessions; ${remedy}, or use sluice rsh --to`,
  );
};

/** Why the first bytes of a sink are not for the source, if they are the greeting. */
export const refusesGreeting =
  (sink: Address) =>
  (first: Buffer): SluiceError | undefined =>
    first.equals(GREETING) ? describe(sink) : undefined;
