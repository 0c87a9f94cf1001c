/**
 * How fast, and when. A rule is a line such as `send=2M receive=500K` or `22:00-06:00 send=10M`: of the rules with a time the
 * first that fits counts, then those without; what no rule says is not limited.
 */
import { readFileSync, statSync } from 'node:fs';

export type Direction = 'send' | 'receive';

export interface Rule {
  /** Minutes of the day, in local time; a rule without them counts always. */
  readonly from?: number;
  readonly to?: number;
  /** Bytes a second. */
  readonly rates: Readonly<Partial<Record<Direction, number>>>;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9 };

/** `500K`, `2M`, `1.5m`, `off` (no limit), in bytes a second. @throws Error */
export function parseRate(text: string): number {
  if (text === 'off') return Number.POSITIVE_INFINITY;
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([KMG]?)$/.exec(text.toUpperCase()) ?? [];
  const rate = Number(number) * (UNITS[unit] ?? Number.NaN);
  if (rate >= 1) return rate;
  throw new Error(`expected a rate in bytes a second, such as 500K, 2M or "off", got ${JSON.stringify(text)}`);
}

function parseTime(text: string): number {
  const [, hours, minutes] = /^(\d\d):(\d\d)$/.exec(text) ?? [];
  const time = Number(hours) * 60 + Number(minutes);
  if (time >= 0 && Number(minutes) < 60 && time <= 24 * 60) return time;
  throw new Error(`expected a time of day such as 22:00, got ${JSON.stringify(text)}`);
}

/** @throws Error */
export function parseRule(line: string): Rule {
  const words = line.trim().split(/\s+/);
  const [first = ''] = words;
  const times = first.includes('=') ? undefined : words.shift()?.split('-');
  const rates: Partial<Record<Direction, number>> = {};
  for (const word of words) {
    const [, direction, rate = ''] = /^(send|receive)=(.+)$/.exec(word) ?? [];
    if (direction !== 'send' && direction !== 'receive')
      throw new Error(`expected send=RATE or receive=RATE, got ${JSON.stringify(word)}`);
    rates[direction] = parseRate(rate);
  }
  if (words.length === 0) throw new Error(`a rule needs send=RATE or receive=RATE: ${JSON.stringify(line)}`);
  if (times === undefined) return { rates };
  const [from = '', to = ''] = times;
  return { from: parseTime(from), to: parseTime(to), rates };
}

/** @throws Error naming the line */
export const parseRules = (text: string): Rule[] =>
  text
    .split('\n')
    .map((line) => line.replace(/#.*/, ''))
    .flatMap((line, at) => {
      if (line.trim() === '') return [];
      try {
        return [parseRule(line)];
      } catch (error) {
        throw new Error(`line ${at + 1}: ${(error as Error).message}`, { cause: error });
      }
    });

function fits({ from, to }: Rule, minutes: number): boolean {
  if (from === undefined || to === undefined) return true;
  return from <= to ? minutes >= from && minutes < to : minutes >= from || minutes < to;
}

/** Bytes a second in that direction at that time. */
export function rateAt(rules: readonly Rule[], direction: Direction, time: Date): number {
  const minutes = time.getHours() * 60 + time.getMinutes();
  const saying = rules.filter(({ rates }) => rates[direction] !== undefined);
  const timed = saying.find((rule) => rule.from !== undefined && fits(rule, minutes));
  return (timed ?? saying.find(({ from }) => from === undefined))?.rates[direction] ?? Number.POSITIVE_INFINITY;
}

/** ms between two looks at the file and the clock. */
const LOOK = 500;

/** The rules of a link, and those of its file, which count first and may change while it runs. */
export class Rules {
  readonly #own: readonly Rule[];
  readonly #file: string | undefined;
  #read: readonly Rule[] = [];
  /** Of the file whose rules count. */
  #taken = -1;
  #fault = '';
  #looked = Number.NEGATIVE_INFINITY;
  /** Told once for each fault, and again when it has been mended meanwhile. */
  onFault: (reason: string) => void = () => {};

  constructor(own: readonly Rule[], file: string | undefined) {
    this.#own = own;
    this.#file = file;
  }

  rate(direction: Direction): number {
    const now = performance.now();
    if (this.#file !== undefined && now - this.#looked >= LOOK) {
      this.#looked = now;
      this.#look(this.#file);
    }
    return rateAt([...this.#read, ...this.#own], direction, new Date());
  }

  /** A file that cannot be read leaves everything as it is. */
  #look(file: string): void {
    try {
      const { mtimeMs } = statSync(file);
      if (mtimeMs !== this.#taken) this.#read = parseRules(readFileSync(file, 'utf8'));
      this.#taken = mtimeMs;
      this.#fault = '';
    } catch (error) {
      const reason = `${file}: ${(error as Error).message}`;
      if (this.#fault !== reason) this.onFault(reason);
      this.#fault = reason;
    }
  }
}
