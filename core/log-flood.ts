/**
 * What a flood may make of the log: so many lines a second, and then a line every ten seconds that tells how many were left
 * out. Warnings have their own share, so that what is told of every connection does not keep them out. A line that is too
 * long has its longest values cut.
 */
import { LIMITS } from './limits.ts';
import { tokenBucket } from './token-bucket.ts';

/** Of a record of the log, what is looked at. */
interface Line {
  readonly level: string;
  readonly properties: Record<string, unknown>;
}

const share = () => tokenBucket({ perSecond: LIMITS.logRate, burst: 2 * LIMITS.logRate });

/** @param tell how many lines were left out since it was called last */
export function floodGate(tell: (leftOut: number) => void): (level: string) => boolean {
  const [usual, loud] = [share(), share()];
  let leftOut = 0;
  const close = (): void => {
    tell(leftOut);
    leftOut = 0;
  };
  return (level) => {
    const isLoud = level !== 'info' && level !== 'debug' && level !== 'trace';
    if ((isLoud ? loud : usual)(1)) return true;
    if (leftOut === 0) setTimeout(close, LIMITS.logSummary).unref();
    leftOut += 1;
    return false;
  };
}

/** Shorter than this a value is not the reason. */
const SHORT = 64;
/** Bytes of what stands for the rest of a value, and of quotes that it may need. */
const MARK = 5;

/** The fields with the longest of them cut by so much; `undefined` where there is nothing left to cut. */
function cutLongest(fields: Readonly<Record<string, unknown>>, excess: number): Record<string, unknown> | undefined {
  const texts = Object.entries(fields).map(([key, value]) => [key, textOf(value)] as const);
  const [key, text] = texts.reduce((one, other) => (other[1].length > one[1].length ? other : one), ['', '']);
  if (text.length <= SHORT) return undefined;
  return { ...fields, [key]: `${text.slice(0, Math.max(SHORT - 1, text.length - excess))}…` };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));

/** The line of a record, in so many bytes if values can be cut for it. */
export function fitted<R extends Line>(record: R, format: (record: R) => string): string {
  const line = format(record);
  const excess = Buffer.byteLength(line) - LIMITS.logLine;
  const properties = excess > 0 ? cutLongest(record.properties, excess + MARK) : undefined;
  return properties === undefined ? line : fitted({ ...record, properties }, format);
}
