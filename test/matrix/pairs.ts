/** One source joined to one sink, and connections through it of which the test holds both ends. */
import type { Fields } from '../../plugins/contract/index.ts';
import type { Scope } from '../support/scope.ts';
import type { End } from './end.ts';
import { SINKS, type PreparedSink, type Sink } from './sinks.ts';
import type { PreparedSource, Source } from './source.ts';
import { SOURCES } from './sources.ts';
import { startCommand, startInProcess, type Started } from './started.ts';
import { namedPipes, ownStdio } from './stdio-end.ts';

export interface Pair {
  readonly source: Source;
  readonly sink: Sink;
}

export interface Joined {
  readonly client: End;
  readonly server: End;
  /** The gateway's log line about the end of this connection. */
  closed(): Promise<Fields>;
}

/** Makes connections through a pair, one after another. */
export type Join = (scope: Scope) => Promise<Joined>;

/** All but stdio with itself: a process has only one standard input and output. */
export const PAIRS: readonly Pair[] = SOURCES.flatMap((source) =>
  SINKS.filter((sink) => source.medium !== 'stdio' || sink.medium !== 'stdio').map((sink) => ({ source, sink })),
);

/** Everything of a pair that stands before its first connection. */
interface Standing {
  readonly source: PreparedSource;
  readonly sink: PreparedSink;
  readonly started: Started;
}

/** The command's own standard input and output as the sink; a wrapper that keeps them open is led around. */
async function standWithStdio(scope: Scope, { source }: Pair): Promise<Standing> {
  const prepared = await source.prepare(scope);
  const pipes = source.keepsStdio && namedPipes(scope);
  const { launch } = prepared;
  const around = pipes ? { ...launch, wrapper: [...(launch.wrapper ?? []), ...pipes.wrapper] } : launch;
  const target = { address: 'stdio:' };
  const started = startCommand(scope, around, target, true);
  const accept = async (): Promise<End> => (pipes ? pipes.end(started) : ownStdio(started));
  return { source: prepared, sink: { target, accept }, started };
}

async function stand(scope: Scope, pair: Pair): Promise<Standing> {
  if (pair.sink.prepare === undefined) return standWithStdio(scope, pair);
  const source = await pair.source.prepare(scope);
  const sink = await pair.sink.prepare(scope);
  const { process } = pair.source;
  const started =
    process === undefined
      ? await startInProcess(scope, source.launch, sink.target)
      : startCommand(scope, source.launch, sink.target, process === 'one connection');
  return { source, sink, started };
}

/** ms for what is a matter of milliseconds on an idle machine. */
const PATIENCE = 60_000;

async function join({ source, sink, started }: Standing, count: number): Promise<Joined> {
  const [client, server] = await Promise.all([source.dial(started), sink.accept()]);
  return { client, server, closed: async () => (await started.log.untilMessage('closed', count, PATIENCE)).fields };
}

/** Opens the pair, for all connections where it can serve more than one, else anew for each. */
export async function openPair(scope: Scope, pair: Pair): Promise<Join> {
  const isForOne = pair.source.process === 'one connection' || pair.sink.prepare === undefined;
  if (isForOne) return async (own) => join(await stand(own, pair), 1);
  const standing = await stand(scope, pair);
  let count = 0;
  return () => join(standing, (count += 1));
}
