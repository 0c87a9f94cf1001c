/** The files that are backed up, and whether those that came back are the same. */
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';

export interface Tree {
  readonly bytes: number;
  /** SHA-256 of every regular file, by its path below the folder. */
  readonly hashes: ReadonlyMap<string, string>;
}

export interface Backup {
  /** The folder that holds the one that is backed up, as `cd` takes it. */
  readonly parent: string;
  readonly name: string;
  /** A path below `parent` that is left out. */
  readonly leftOut?: string;
}

/** Reads every file of `parent/name` but those below what is left out. */
export async function readTree({ parent, name, leftOut }: Backup): Promise<Tree> {
  const hashes = new Map<string, string>();
  let bytes = 0;
  const skipped = leftOut === undefined ? undefined : join(parent, leftOut);
  const visit = async (folder: string): Promise<void> => {
    if (folder === skipped) return;
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) await visit(path);
      if (!entry.isFile()) continue;
      const content = await readFile(path);
      bytes += content.length;
      hashes.set(relative(parent, path), createHash('sha256').update(content).digest('hex'));
    }
  };
  await visit(join(parent, name));
  return { bytes, hashes };
}

/** @throws Error that names the first file that is missing, new or different. */
export function assertSame(original: Tree, restored: Tree): void {
  for (const path of new Set([...original.hashes.keys(), ...restored.hashes.keys()])) {
    const [before, after] = [original.hashes.get(path), restored.hashes.get(path)];
    if (before !== after) throw new Error(`${path}: SHA-256 was ${before ?? 'absent'}, came back ${after ?? 'absent'}`);
  }
}
