/**
 * Where the standard error of a sink's command goes: to the source where it can be shown it, else to the log, line by
 * line. It is always read, because a command whose standard error nobody reads stops. What exceeds the limits is
 * counted and told, never kept.
 */
import type { Readable, Writable } from 'node:stream';
import { LIMITS } from './limits.ts';
import { tokenBucket } from './token-bucket.ts';
import type { Log } from '../plugins/contract/index.ts';

/** Resolves when all of it has been taken, or nobody is there to take it; never rejects. */
export function carryDiagnostics(from: Readable | undefined, to: Writable | undefined, log: Log): Promise<void> {
  if (from === undefined) return Promise.resolve();
  const ended = new Promise<void>((resolve) => {
    if (from.readableEnded || from.closed) resolve();
    else from.once('end', resolve).once('close', resolve);
  });
  from.on('error', () => {});
  if (to === undefined) logLines(from, log);
  else {
    const readOn = (): void => {
      from.unpipe(to);
      from.resume(); // nobody is there to be shown it, and the command must not stop for that
    };
    to.once('error', readOn).once('close', readOn);
    from.pipe(to, { end: false });
  }
  return to === undefined ? ended : ended.then(() => taken(to));
}

/** What was written before has been taken when this has. */
const taken = (to: Writable): Promise<void> =>
  to.writable
    ? new Promise((resolve) => to.once('close', resolve).write(Buffer.alloc(0), () => resolve()))
    : Promise.resolve();

/** Line by line. A command that carries our own session (an ssh) is heard at `warn`: what it says is about its trouble. */
export function logLines(from: Readable, log: Log, level: 'info' | 'warn' = 'info'): void {
  from.on('error', () => {});
  const take = tokenBucket({ perSecond: LIMITS.diagnosticsRate, burst: LIMITS.diagnosticsBurst });
  let partial = '';
  let dropped = 0;
  const say = (line: string): void => {
    if (line === '') return;
    if (!take(line.length)) dropped += 1;
    else {
      log[level]('stderr', dropped > 0 ? { line, dropped } : { line });
      dropped = 0;
    }
  };
  from.setEncoding('utf8');
  from.on('data', (text: string) => {
    const lines = (partial + text).split(/\r?\n/);
    partial = lines.pop() ?? '';
    for (const line of lines) for (const piece of pieces(line)) say(piece);
    if (partial.length > LIMITS.diagnosticsLine) {
      for (const piece of pieces(partial)) say(piece);
      partial = '';
    }
  });
  from.once('close', () => {
    for (const piece of pieces(partial)) say(piece);
    if (dropped > 0) log.warn('stderr: lines dropped', { dropped });
  });
}

const cost = (text: string): number => Buffer.byteLength(JSON.stringify(text));

/** Each in so many bytes as the log will write. */
function* pieces(line: string): Generator<string> {
  for (let at = 0; at < line.length;) {
    let size: number = LIMITS.diagnosticsLine;
    while (cost(line.slice(at, at + size)) > LIMITS.diagnosticsLine) size = Math.floor(size / 2);
    yield line.slice(at, at + size);
    at += size;
  }
}
