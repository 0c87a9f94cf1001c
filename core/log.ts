/**
 * The log: one line a record on standard error, as text or as JSON. The only import of LogTape.
 * Standard error may be slow, full or closed: a log line is then dropped and counted, and never ends the gateway.
 */
import { configureSync, getLogger, jsonLinesFormatter, type Logger, type LogRecord } from '@logtape/logtape';
import { styleText } from 'node:util';
import type { Writable } from 'node:stream';
import { reasonOf } from './errors.ts';
import { LIMITS } from './limits.ts';
import { fitted, floodGate } from './log-flood.ts';
import type { Fields, Log } from '../plugins/contract/index.ts';

export type LogFormat = 'text' | 'json';
export type LogLevel = 'debug' | 'info' | 'warning' | 'error';

/** The core's log can also make a child whose fields stand in each of its lines. */
export interface CoreLog extends Log {
  child(fields: Fields): CoreLog;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly colour: boolean;
  readonly output: Writable;
  /** Called before a line is written, so that a progress line can step aside. */
  readonly beforeLine?: () => void;
}

const COLOURS = { debug: 'gray', info: 'green', warning: 'yellow', error: 'red' } as const;
const LABELS: Readonly<Record<string, string>> = { warning: 'warn', fatal: 'error', trace: 'debug' };

/** Control characters never reach a terminal: a peer chooses some of what is logged. */
export const printable = (text: string): string =>
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);

function showValue(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const safe = printable(text ?? '');
  return /[\s"]/.test(safe) || safe === '' ? JSON.stringify(safe) : safe;
}

/** `12:00:01 info  borg: relay closed  bytes=12 …` */
function textLine(record: LogRecord, colour: boolean): string {
  const { link, ...fields } = record.properties;
  const label = (LABELS[record.level] ?? record.level).padEnd(5);
  const paint = COLOURS[record.level as keyof typeof COLOURS] ?? 'red';
  const time = new Date(record.timestamp).toTimeString().slice(0, 8);
  const message = printable(String(record.rawMessage));
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${showValue(value)}`);
  const head = colour ? `${styleText('gray', time)} ${styleText(paint, label)}` : `${time} ${label}`;
  const tail = pairs.length > 0 ? `  ${pairs.join(' ')}` : '';
  return `${head} ${typeof link === 'string' ? `${link}: ` : ''}${message}${colour ? styleText('gray', tail) : tail}\n`;
}

/** Writes lines while the output keeps up; what it cannot take is dropped, and the next line tells how much. */
function lineWriter(output: Writable): (line: string) => void {
  let dropped = 0;
  output.on('error', () => {});
  return (line) => {
    if (output.destroyed || output.writableLength > LIMITS.logBacklog) {
      dropped += 1;
      return;
    }
    output.write(dropped > 0 ? `(${dropped} log lines dropped: the output was too slow)\n${line}` : line);
    dropped = 0;
  };
}

/** An error in a field is its text: nobody sees a stack trace for a mistake of theirs. */
const plain = (fields: Fields = {}): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? reasonOf(value) : value]),
  );

const adapt = (logger: Logger): CoreLog => ({
  debug: (message, fields) => logger.debug(message, plain(fields)),
  info: (message, fields) => logger.info(message, plain(fields)),
  warn: (message, fields) => logger.warn(message, plain(fields)),
  error: (message, fields) => logger.error(message, plain(fields)),
  child: (fields) => adapt(logger.with({ ...fields })),
});

/** The log of this process, for what is told when it ends; it says nothing where none was made. */
export const processLog = (): CoreLog => adapt(getLogger('sluice'));

/** One log a process: the library's configuration is global. */
export function createLog({ level, format, colour, output, beforeLine }: LogOptions): CoreLog {
  const write = lineWriter(output);
  const toLine = format === 'json' ? jsonLinesFormatter : (record: LogRecord) => textLine(record, colour);
  let isSummary = false;
  const passes = floodGate((count) => {
    isSummary = true;
    getLogger('sluice').warn('log lines left out', { count, seconds: LIMITS.logSummary / 1000, limit: LIMITS.logRate });
    isSummary = false;
  });
  const sink = (record: LogRecord): void => {
    if (level !== 'debug' && !isSummary && !passes(record.level)) return; // who asks for all of it gets it
    beforeLine?.();
    write(fitted(record, toLine));
  };
  configureSync({
    reset: true,
    sinks: { output: sink },
    loggers: [
      { category: 'sluice', lowestLevel: level, sinks: ['output'] },
      { category: ['logtape', 'meta'], lowestLevel: 'error', sinks: [] },
    ],
  });
  return adapt(getLogger('sluice'));
}
