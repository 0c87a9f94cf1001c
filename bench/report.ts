/** Figures as rows: medians of the rounds, and the ratio to the rival (the median of each round's own ratio). */
import { availableParallelism, cpus, release, type } from 'node:os';
import { styleText } from 'node:util';
import { median, type RoundTrip, type Series } from './measure.ts';

/** What one contender is compared with, and how good the ratio is to be. */
export interface Goal {
  readonly rival?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Row extends Goal {
  readonly name: string;
  readonly median?: number;
  readonly least?: number;
  readonly most?: number;
  readonly ratio?: number;
  readonly met?: boolean;
  readonly failure?: string;
}

export interface RoundTripRow {
  readonly name: string;
  readonly p50?: number;
  readonly p99?: number;
  readonly failure?: string;
}

export const machine = () => ({
  cores: availableParallelism(),
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  system: `${type()} ${release()}`,
  node: process.version,
});

function isMet(ratio: number, { atLeast, atMost }: Goal): boolean | undefined {
  if (atLeast !== undefined) return ratio >= atLeast;
  return atMost === undefined ? undefined : ratio <= atMost;
}

export function toRow({ name, figures, failure }: Series<number>, goal: Goal, all: readonly Series<number>[]): Row {
  if (failure !== undefined) return { name, ...goal, failure };
  const own = { name, ...goal, median: median(figures), least: Math.min(...figures), most: Math.max(...figures) };
  const rival = all.find((series) => series.name === goal.rival);
  const ratios = figures.flatMap((figure, round) => figure / (rival?.figures[round] ?? NaN)).filter(Number.isFinite);
  if (ratios.length === 0) return own;
  const ratio = median(ratios);
  const met = isMet(ratio, goal);
  return { ...own, ratio, ...(met !== undefined && { met }) };
}

export function toRoundTripRow({ name, figures, failure }: Series<RoundTrip>): RoundTripRow {
  if (failure !== undefined) return { name, failure };
  return { name, p50: median(figures.map(({ p50 }) => p50)), p99: median(figures.map(({ p99 }) => p99)) };
}

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';

/** Columns as wide as their widest cell: the first to the left, the others to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const show = (line: readonly string[]): string =>
    line.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  ');
  return [styleText('bold', show(head)), ...rows.map(show)].map((line) => `  ${line.trimEnd()}\n`).join('');
}

function verdict({ ratio, rival, met, atLeast, atMost }: Row): string {
  if (ratio === undefined) return '';
  const goal = atLeast === undefined ? (atMost === undefined ? '' : `, wanted ≤ ${atMost}`) : `, wanted ≥ ${atLeast}`;
  return `${ratio.toFixed(2)} × ${rival}${goal}${met === undefined ? '' : met ? ': met' : ': MISSED'}`;
}

export function showRows(unit: string, rows: readonly Row[], digits: number): string {
  const show = (figure: number | undefined): string => figure?.toFixed(digits) ?? '';
  const cells = rows.map((row) => [row.name, show(row.median), show(row.least), show(row.most)]);
  const lines = table(['', unit, 'least', 'most'], cells).trimEnd().split('\n');
  const ends = ['', ...rows.map((row) => (row.failure === undefined ? verdict(row) : firstLine(row.failure)))];
  return lines.map((line, at) => `${line}   ${ends[at]}`.trimEnd()).join('\n');
}

const tenths = (figure: number | undefined): string => figure?.toFixed(1) ?? '';

export function showRoundTrips(rows: readonly RoundTripRow[]): string {
  const cells = rows.map(({ name, p50, p99, failure }) => [name, tenths(p50), tenths(p99), firstLine(failure ?? '')]);
  return table(['', 'p50 µs', 'p99 µs', ''], cells).trimEnd();
}

const BESIDE_GOAL = { p50: 1_000, p99: 10_000 };

export function showBeside(rounds: readonly { p50: number; p99: number; rate: number }[]): string {
  const middle = (key: 'p50' | 'p99' | 'rate'): number => median(rounds.map((round) => round[key]));
  const isGood = middle('p50') <= BESIDE_GOAL.p50 && middle('p99') <= BESIDE_GOAL.p99;
  const cells = [
    `medians of ${rounds.length}`,
    tenths(middle('p50')),
    tenths(middle('p99')),
    middle('rate').toFixed(0),
  ];
  const rows = table(['', 'p50 µs', 'p99 µs', 'bulk MB/s'], [cells]).trimEnd();
  return `${rows}   wanted ≤ ${BESIDE_GOAL.p50} and ${BESIDE_GOAL.p99}: ${isGood ? 'met' : 'MISSED'}`;
}
