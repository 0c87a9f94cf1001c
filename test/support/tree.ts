/** A tree of files for backups: the same for the same seed, of mixed sizes, and not to be compressed. */
import { createCipheriv, createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Bytes nobody can compress, the same for the same seed. */
export const seededBytes = (seed: string, length: number): Buffer =>
  createCipheriv('aes-128-ctr', createHash('md5').update(seed).digest(), Buffer.alloc(16)).update(Buffer.alloc(length));

/** Sizes of a home folder: most files are small, most bytes are in large ones; some are empty. */
function sizes(seed: string, files: number, total: number): number[] {
  const dice = seededBytes(`${seed} sizes`, files * 4);
  const weights = Array.from({ length: files }, (_, at) =>
    at % 97 === 0 ? 0 : (dice.readUInt32LE(at * 4) / 2 ** 32) ** 6,
  );
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => Math.ceil((weight / sum) * total));
}

/** Makes `files` files with `total` bytes together below `folder`. */
export function makeTree(folder: string, seed: string, files: number, total: number): void {
  for (const [at, size] of sizes(seed, files, total).entries()) {
    const path = join(folder, `d${at % 13}`, `ä b${at % 7}`, `file ${at}`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, seededBytes(`${seed} ${at}`, size));
  }
}

/** SHA-256 of every file below a folder, by its path in it. */
export function hashTree(folder: string): ReadonlyMap<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    paths
      .toSorted()
      .map((path) => [relative(folder, path), createHash('sha256').update(readFileSync(path)).digest('hex')]),
  );
}
