/** Measurements: interleaved (A B C, A B C, …), so that whatever else the machine does meets everybody alike. */
import type { Backend, Contender, Front } from './contender.ts';
import { missing } from './contender.ts';
import { GENERATOR, SINK } from './programs.ts';
import type { Stage } from './stage.ts';

/** One contender's figures, one a round; or why there are none. */
export interface Series<Figure> {
  readonly name: string;
  readonly figures: readonly Figure[];
  readonly failure?: string;
}

interface Figures<Figure> extends Series<Figure> {
  readonly figures: Figure[];
  failure?: string;
}

/** Something that can be measured again and again. */
export interface Subject<Figure> {
  readonly name: string;
  readonly measure: () => Promise<Figure>;
}

/** Of 64-byte round trips, in microseconds. */
export interface RoundTrip {
  readonly p50: number;
  readonly p99: number;
}

export const median = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2;
};

/** Measures each subject once a round. One that fails is left out from then on, and says why; the others go on. */
export async function interleave<Figure>(
  subjects: readonly Subject<Figure>[],
  rounds: number,
  { progress, isStopped }: { progress: (text: string) => void; isStopped: () => boolean },
): Promise<Series<Figure>[]> {
  const all: Figures<Figure>[] = subjects.map(({ name }) => ({ name, figures: [] }));
  for (let round = 1; round <= rounds; round += 1) {
    for (const [at, { name, measure }] of subjects.entries()) {
      const own = all[at];
      if (own === undefined || own.failure !== undefined) continue;
      progress(`round ${round} of ${rounds}: ${name}`);
      try {
        own.figures.push(await measure());
      } catch (error) {
        if (isStopped()) throw error;
        own.failure = (error as Error).message;
      }
    }
  }
  return all;
}

/** Starts the receiving end in its two forms. */
export async function openBackend(stage: Stage, what: 'count' | 'echo'): Promise<Backend> {
  const socket = stage.path(`${what}.sock`);
  await stage.start(SINK, [what, socket]).until(/^0$/m);
  const [port] = await stage.start(SINK, [what, '0']).until(/^\d+$/m);
  return { socket, port, command: [SINK, what] };
}

/** Opens every contender that can be, then measures them; the others' series say what is missing. */
export async function compare<Figure>(
  stage: Stage,
  what: 'count' | 'echo',
  contenders: readonly Contender[],
  { rounds, progress, measure }: Comparison<Figure>,
): Promise<Series<Figure>[]> {
  const backend = await openBackend(stage, what);
  const [subjects, left]: [Subject<Figure>[], Series<Figure>[]] = [[], []];
  for (const [index, contender] of contenders.entries()) {
    const { name } = contender;
    const lacking = missing(contender);
    progress(`starting ${name}`);
    try {
      if (lacking.length > 0) throw new Error(`missing: ${lacking.join(', ')} not installed`);
      const front = await contender.open(stage, backend, `${what}-${index}`);
      subjects.push({ name, measure: () => measure(front) });
    } catch (error) {
      if (stage.isStopped) throw error;
      left.push({ name, figures: [], failure: (error as Error).message });
    }
  }
  const measured = await interleave(subjects, rounds, { progress, isStopped: () => stage.isStopped });
  return contenders.flatMap(({ name }) => [...measured, ...left].filter((series) => series.name === name));
}

export interface Comparison<Figure> {
  readonly rounds: number;
  readonly progress: (text: string) => void;
  readonly measure: (front: Front) => Promise<Figure>;
}

/** MB/s of one stream, from the first byte until its sink has told how many came. */
export async function measureStream(stage: Stage, bytes: number, front: Front): Promise<number> {
  const size = String(bytes);
  const args = 'address' in front ? ['send', front.address, size] : ['through', size, ...front.through];
  return bytes / 1e6 / Number(await stage.run(GENERATOR, args));
}

export async function measureRoundTrips(stage: Stage, count: number, front: Front): Promise<RoundTrip> {
  if (!('address' in front)) throw new Error('round trips need an address');
  const [p50 = NaN, p99 = NaN] = (await stage.run(GENERATOR, ['ping', front.address, String(count)]))
    .split(' ')
    .map(Number);
  return { p50, p99 };
}
