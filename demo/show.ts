/** What the demo prints: the command lines that ran, what came of them, and how fast. In colour on a terminal only. */
import { styleText } from 'node:util';

const write = (line = ''): void => void process.stdout.write(`${line}\n`);

const number = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

const one = (value: number): string => value.toFixed(value < 10 ? 1 : 0);

export const files = (count: number): string => `${number.format(count)} files`;
export const size = (bytes: number): string => `${one(bytes / 1e6)} MB`;
export const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;
export const rate = (bytes: number, milliseconds: number): string => `${one(bytes / 1e3 / milliseconds)} MB/s`;

export const show = {
  title: (text: string): void => write(styleText('bold', text)),
  note: (text: string): void => write(styleText('yellow', text)),
  step: (text: string): void => write(`\n${styleText(['bold', 'cyan'], text)}`),
  command: (line: string): void => write(`  ${styleText('gray', '$')} ${line}`),
  output: (text: string): void => text.split('\n').forEach((line) => write(`    ${styleText('gray', line)}`)),
  result: (text: string): void => write(`    ${styleText('green', '✔')} ${text}`),
  failure: (text: string): void => write(`\n${styleText('red', '✘')} ${text}`),
  summary: (text: string): void => write(`\n${styleText(['bold', 'green'], text)}`),
};
