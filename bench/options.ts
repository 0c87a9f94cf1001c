/** The flags of `npm run bench -- …`. */
import { parseArgs } from 'node:util';

export const USAGE = `usage: npm run bench -- [options]
  --bytes SIZE    of one stream, such as 2GiB (the default) or 512MiB
  --rounds N      default 5
  --only REGEX    contenders whose name matches, and the rivals of those
  --quick         256 MiB, 3 rounds
  --json FILE     writes the figures there too, with those of every round
  --command FILE  measures this built sluice.js instead of dist/sluice.js
`;

export interface BenchOptions {
  readonly bytes: number;
  readonly rounds: number;
  readonly roundTrips: number;
  readonly only: RegExp;
  readonly json: string | undefined;
  readonly command: string | undefined;
}

function parseSize(text: string): number {
  const [, number, prefix] = /^([1-9]\d*)([KMG])iB$/.exec(text) ?? [];
  if (number === undefined || prefix === undefined) throw new Error(`--bytes: expected 2GiB or the like, got ${text}`);
  return Number(number) * 1024 ** ('KMG'.indexOf(prefix) + 1);
}

function parseCount(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--rounds: expected a number, got ${text}`);
  return Number(text);
}

/** @throws Error for what cannot be meant */
export function readOptions(args: readonly string[]): BenchOptions {
  const string = { type: 'string' } as const;
  const options = { bytes: string, rounds: string, only: string, json: string, command: string } as const;
  const { values } = parseArgs({ args: [...args], options: { ...options, quick: { type: 'boolean' } } });
  return {
    bytes: parseSize(values.bytes ?? (values.quick ? '256MiB' : '2GiB')),
    rounds: parseCount(values.rounds ?? (values.quick ? '3' : '5')),
    roundTrips: values.quick ? 4_000 : 20_000,
    only: new RegExp(values.only ?? ''),
    json: values.json,
    command: values.command,
  };
}
