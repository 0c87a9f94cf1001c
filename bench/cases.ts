/** The three parts of a bench: streams, round trips, cold starts. Each has a stage of its own, gone when it ends. */
import type { Contender } from './contender.ts';
import { compare, interleave, measureRoundTrips, measureStream, type Series } from './measure.ts';
import type { BenchOptions } from './options.ts';
import { toRoundTripRow, toRow, type Goal, type RoundTripRow, type Row } from './report.ts';
import { rivals } from './rivals.ts';
import { sluices } from './sluices.ts';
import { sshForward, sshReverse } from './ssh.ts';
import { Stage } from './stage.ts';

/** What every part is given. */
export interface Setting extends BenchOptions {
  /** The built command, with the Node that runs it. */
  readonly sluice: readonly string[];
  readonly stop: AbortSignal;
  readonly progress: (text: string) => void;
}

export interface Part<R> {
  readonly title: string;
  readonly rows: readonly R[];
  /** The figure of every round. */
  readonly series: readonly Series<unknown>[];
}

const COLD_STARTS_A_ROUND = 5;

/** Those that were asked for, and whom they are compared with. */
function contenders({ sluice, only }: Setting): readonly Contender[] {
  const { inetd, socatStdio, stunnelPair, ...plain } = rivals;
  const all: readonly Contender[] = [
    ...Object.values(plain),
    stunnelPair,
    sshForward,
    sshReverse,
    inetd,
    socatStdio,
    ...sluices(sluice),
  ];
  const wanted = new Set(all.filter(({ name }) => only.test(name)).flatMap(({ name, rival }) => [name, rival]));
  return all.filter(({ name }) => wanted.has(name));
}

export async function streams(setting: Setting): Promise<Part<Row>> {
  const { bytes, rounds, progress, stop } = setting;
  await using stage = new Stage(stop);
  const who = contenders(setting);
  const measure = measureStream.bind(undefined, stage, bytes);
  const series = await compare(stage, 'count', who, { rounds, progress, measure });
  const goal = (one: Series<number>): Goal => who.find(({ name }) => name === one.name) ?? {};
  return {
    title: `One stream of ${bytes / 2 ** 20} MiB, medians of ${rounds} interleaved rounds`,
    rows: series.map((one) => toRow(one, goal(one), series)),
    series,
  };
}

export async function roundTrips(setting: Setting): Promise<Part<RoundTripRow>> {
  const { roundTrips: count, rounds, progress, stop } = setting;
  await using stage = new Stage(stop);
  const who = contenders(setting).filter((contender) => contender.roundTrips);
  const measure = measureRoundTrips.bind(undefined, stage, count);
  const series = await compare(stage, 'echo', who, { rounds, progress, measure });
  return {
    title: `Round trips of 64 bytes, medians of ${rounds} rounds of ${count}`,
    rows: series.map(toRoundTripRow),
    series,
  };
}

export async function coldStarts({ sluice, rounds, progress, stop }: Setting): Promise<Part<Row>> {
  await using stage = new Stage(stop);
  const [node = process.execPath] = sluice;
  const rival = 'node -e 0';
  const commands: { command: readonly string[]; name: string; goal: Goal }[] = [
    { command: [node, '-e', '0'], name: rival, goal: {} },
    { command: [...sluice, '--help'], name: 'sluice --help', goal: { rival } },
    { command: [...sluice, 'connect', 'exec:true'], name: 'sluice connect exec:true', goal: { rival, atMost: 2.5 } },
  ];
  const measure = async ([file = '', ...args]: readonly string[]): Promise<number> => {
    const start = performance.now();
    await stage.run(file, args);
    return performance.now() - start;
  };
  const subjects = commands.map(({ name, command }) => ({ name, measure: () => measure(command) }));
  const times = rounds * COLD_STARTS_A_ROUND;
  const series = await interleave(subjects, times, { progress, isStopped: () => stage.isStopped });
  const rows = series.map((one, at) => toRow(one, commands[at]?.goal ?? {}, series));
  return { title: `Cold start, medians of ${times}`, rows, series };
}
