/**
 * `rate+…`: no more bytes a second than are allowed, in each direction of a link, all its connections together. The rates may
 * differ by the time of day, and be changed in a file while the link runs.
 */
import { readFile } from 'node:fs/promises';
import { defineLayer, through } from 'sluice/plugin';
import { Bucket, Limiter } from './bucket.ts';
import { Rules, parseRate, parseRule, parseRules, type Rule } from './rules.ts';

/** @throws Error that names the option in which a mistake stands */
function named<T>(option: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new Error(`option "rate.${option}": ${(cause as Error).message}`, { cause });
  }
}

export default defineLayer({
  contract: 1,
  name: 'rate',
  summary: 'limited to a number of bytes a second, in each direction of a link',
  options: {
    send: { type: 'string', help: 'bytes a second that we send: 500K, 2M, off' },
    receive: { type: 'string', help: 'bytes a second that we take' },
    at: { type: 'list', help: 'other rates by the time of day, "22:00-06:00 send=10M receive=off"; may be repeated' },
    file: {
      type: 'path',
      help: 'a file with such rules, a line each, which count first; it is read again when it changes',
    },
  },
  keeps: ['half-close', 'proves-end', 'tells-cut'],
  adds: [],

  parse({ options: { send, receive, at, file } }) {
    const always: Rule = {
      rates: {
        ...(send !== undefined && { send: named('send', () => parseRate(send)) }),
        ...(receive !== undefined && { receive: named('receive', () => parseRate(receive)) }),
      },
    };
    const rules = new Rules([...named('at', () => at.map(parseRule)), always], file);
    const bucket = (direction: 'send' | 'receive') => new Bucket(() => rules.rate(direction));
    return { rules, file, send: bucket('send'), receive: bucket('receive') };
  },

  async inspect({ file }) {
    if (file === undefined) return [];
    try {
      parseRules(await readFile(file, 'utf8'));
      return [];
    } catch (error) {
      return [`option "rate.file": ${file}: ${(error as Error).message}`];
    }
  },

  wrap({ rules, send, receive }, { stream }, { log }) {
    rules.onFault = (reason) => log.warn('the rates stay as they were', { reason });
    return { stream: through(stream, { outgoing: new Limiter(send), incoming: new Limiter(receive) }) };
  },
});
