/**
 * A plain dial that comes to a source of sessions is told so in words, which are for a person and no data: a program that
 * reads them from a stand-in's output would take them for the reply, and their end for success.
 */
import type { Duplex } from 'node:stream';
import type { Address } from './address.ts';
import { SluiceError } from './errors.ts';
import { WRONG_DOOR } from './session/wrong-door.ts';

const isGreeting = (chunk: unknown): boolean => Buffer.isBuffer(chunk) && chunk.equals(Buffer.from(WRONG_DOOR));

const describe = ({ text, transport }: Address): SluiceError => {
  const remedy = transport.literal
    ? 'let it lead to a plain source'
    : `write ${text}${text.includes('?') ? '&' : '?'}session=yes`;
  return new SluiceError(
    'SLUICE_DIAL',
    `dial ${text}: a sluice is there that speaks nothing but sessions; ${remedy}, or use sluice rsh --to`,
  );
};

/**
 * Looks at the first chunk that is written to `stream`, and holds it back if it is the greeting.
 *
 * @param refuse is to cut the connection; the write never completes
 */
export function watchForGreeting(stream: Duplex, sink: Address, refuse: (reason: SluiceError) => void): void {
  const write = stream._write.bind(stream);
  stream._write = (chunk, encoding, done) => {
    stream._write = write;
    if (isGreeting(chunk)) refuse(describe(sink));
    else write(chunk, encoding, done);
  };
}
