/** What the matrix knows of a source. */
import type { Scope } from '../support/scope.ts';
import type { End } from './end.ts';
import type { Launch, Started } from './started.ts';

export interface PreparedSource {
  readonly launch: Launch;
  dial(started: Started): Promise<End>;
}

export interface Source {
  readonly name: string;
  /** The scheme whose capabilities hold for it: that of the inherited socket where it is one. */
  readonly medium: string;
  /** It needs a process of its own, for one connection or for all; absent: any gateway will do. */
  readonly process?: 'one connection' | 'all connections';
  /** A program that holds standard input and output of the command open. */
  readonly keepsStdio?: true;
  prepare(scope: Scope): Promise<PreparedSource>;
}
