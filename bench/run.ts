/** `npm run bench`: how fast Sluice is beside the programs that one would use instead. The flags are in options.ts. */
import { constants } from 'node:os';
import { writeFileSync } from 'node:fs';
import { besideBulk } from './beside.ts';
import { backups } from './borg.ts';
import { coldStarts, roundTrips, streams, type Setting } from './cases.ts';
import { USAGE, readOptions, type BenchOptions } from './options.ts';
import { build } from './programs.ts';
import { machine, showBeside, showRoundTrips, showRows } from './report.ts';

/** What `--only` finds it by. */
const BESIDE = 'beside a bulk stream of one session, over TLS';

const print = (...lines: string[]): void => void process.stdout.write(`${lines.join('\n')}\n`);

/** What is being done, on a terminal only; an empty text takes the line away. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

async function bench(options: BenchOptions, stop: AbortSignal): Promise<void> {
  const facts = machine();
  print(`${facts.cores} cores, ${facts.cpu}, ${facts.system}, Node ${facts.node}`);
  progress('building');
  const built = await build(stop);
  const sluice = [process.execPath, options.command ?? built];
  const setting: Setting = { ...options, sluice, stop, progress };
  const show = (title: string, isEmpty: boolean, table: string): void => {
    progress('');
    if (!isEmpty) print('', title, table);
  };
  const bulk = await streams(setting);
  show(bulk.title, bulk.rows.length === 0, showRows('MB/s', bulk.rows, 0));
  const trips = await roundTrips(setting);
  show(trips.title, trips.rows.length === 0, showRoundTrips(trips.rows));
  const beside = options.only.test(BESIDE) ? await besideBulk(setting) : [];
  show(`64 bytes there and back ${BESIDE}`, beside.length === 0, showBeside(beside));
  const borg = await backups(setting);
  show(borg.title, borg.rows.length === 0, showRows('MB/s', borg.rows, 0));
  const starts = await coldStarts(setting);
  show(starts.title, false, showRows('ms', starts.rows, 1));
  if (options.json === undefined) return;
  const all = { machine: facts, streams: bulk, roundTrips: trips, beside, backups: borg, coldStarts: starts };
  writeFileSync(options.json, `${JSON.stringify(all, null, 2)}\n`);
}

async function main(): Promise<number> {
  const stop = new AbortController();
  let status = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      status = 128 + constants.signals[signal];
      stop.abort(new Error(`stopped by ${signal}`));
    });
  }
  try {
    await bench(readOptions(process.argv.slice(2)), stop.signal);
  } catch (error) {
    progress('');
    const { message } = (stop.signal.aborted ? stop.signal.reason : error) as Error;
    process.stderr.write(`bench: ${message}\n`);
    if (error instanceof TypeError) process.stderr.write(USAGE);
    status ||= 1;
  }
  return status;
}

process.exitCode = await main();
