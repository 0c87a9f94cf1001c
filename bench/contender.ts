/** Who is measured: a way for the generator's bytes to get to the sink. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Stage } from './stage.ts';

/** The receiving end; every contender leads to it. */
export interface Backend {
  readonly socket: string;
  readonly port: string;
  /** The same as a command, on its standard input and output. */
  readonly command: readonly string[];
}

/** Where the generator sends: an address, or the standard input of a command that it starts. */
export type Front = { readonly address: string } | { readonly through: readonly string[] };

export interface Contender {
  readonly name: string;
  /** Programs it needs; where one is not installed, the table says so. */
  readonly needs: readonly string[];
  /** Also measured in 64-byte round trips. */
  readonly roundTrips?: true;
  /** The contender it is compared with, and the least ratio that we want. */
  readonly rival?: string;
  readonly atLeast?: number;
  /** Starts what it takes, owned by the stage. `id` is a name for its files. */
  open(stage: Stage, backend: Backend, id: string): Promise<Front>;
}

/** The file of a program; sshd is not in the PATH of an ordinary user. */
export function locate(program: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export const missing = ({ needs }: Pick<Contender, 'needs'>): readonly string[] =>
  needs.filter((name) => locate(name) === undefined);
