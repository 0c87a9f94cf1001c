/** `npm run bench`: how fast Sluice is beside the programs that one would use instead. The flags are in options.ts. */
import { constants } from 'node:os';
import { writeFileSync } from 'node:fs';
import { coldStarts, roundTrips, streams, type Setting } from './cases.ts';
import { USAGE, readOptions, type BenchOptions } from './options.ts';
import { build } from './programs.ts';
import { machine, showRoundTrips, showRows } from './report.ts';

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
  const bulk = await streams(setting);
  progress('');
  print('', bulk.title, showRows('MB/s', bulk.rows, 0));
  const trips = await roundTrips(setting);
  progress('');
  print('', trips.title, showRoundTrips(trips.rows));
  const starts = await coldStarts(setting);
  progress('');
  print('', starts.title, showRows('ms', starts.rows, 1));
  if (options.json === undefined) return;
  const all = { machine: facts, streams: bulk, roundTrips: trips, coldStarts: starts };
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
