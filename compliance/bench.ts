/** What one check works with: a log that remembers, folders of its own, and all that it opened, freed when it is over. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Fields, Folders, Log } from '../plugins/contract/index.ts';

/** ms for what takes some on an idle machine; a slower one may say more. */
const patience = (): number => Number(process.env['SLUICE_SUITE_PATIENCE'] ?? 10_000);

/** @throws Error that tells what did not happen */
export async function soon<T>(promise: Promise<T>, what: string, milliseconds = patience()): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`${what} did not happen within ${milliseconds / 1000} s`)),
    milliseconds,
  );
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

let places = 0;

/** A number for a place: no two are alike in this process. */
export const newPlace = (): number => (places += 1);

export class Bench {
  readonly lines: { readonly message: string; readonly fields: Fields }[] = [];
  readonly log: Log;
  readonly folders: Folders;
  readonly #cleanups: (() => unknown)[] = [];
  #isClosed = false;

  constructor() {
    const add = (message: string, fields: Fields = {}): void => void this.lines.push({ message, fields });
    this.log = { debug: add, info: add, warn: add, error: add };
    const folder = mkdtempSync(join(tmpdir(), 'sluice-suite-'));
    this.folders = { runtime: folder, state: folder };
    this.defer(() => rmSync(folder, { recursive: true, force: true }));
  }

  defer(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  /** The stream is destroyed at the end, and breaks nothing until then. One may come late, of a dial that was given up. */
  own<S extends Duplex>(stream: S): S {
    stream.on('error', () => {});
    if (this.#isClosed) stream.destroy();
    this.defer(() => stream.destroy());
    return stream;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const cleanup of this.#cleanups.toReversed()) await cleanup();
  }
}
