/** Files and folders that decide what runs (configuration, plugins) must be ours or root's, and nobody else's to write. */
import type { Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';

/**
 * The text of a file that only this user and root can change, and where it is secret, that others cannot read. Owner and
 * mode are read from the open file, so that it cannot be exchanged in between.
 *
 * @throws Error that says what is wrong and how to mend it
 */
export async function readOwnFile(path: string, { isSecret = false } = {}): Promise<string> {
  const file = await open(path).catch(shorten);
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new Error(`${path} is not a file`);
    assertOwn(path, found);
    if (isSecret && (found.mode & 0o004) !== 0)
      throw new Error(
        `${path} can be read by others; run: chmod ${found.uid === process.getuid?.() ? '600' : 'o-r'} ${path}`,
      );
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** Whoever asks has named the file. */
function shorten(cause: NodeJS.ErrnoException): never {
  if (cause.code !== 'ENOENT') throw cause;
  throw Object.assign(new Error('it is not there', { cause }), { code: cause.code });
}

/** @throws Error if somebody else could put other files into the folder */
export const assertOwnFolder = async (path: string): Promise<void> => assertOwn(path, await stat(path));

function assertOwn(path: string, { uid: owner, mode }: Stats): void {
  const uid = process.getuid?.() ?? 0;
  if (owner !== uid && owner !== 0) {
    throw new Error(`${path} belongs to user ${owner}, and only you (${uid}) or root may own it; chown it`);
  }
  if ((mode & 0o022) !== 0) throw new Error(`${path} can be written by others; run: chmod go-w ${path}`);
}
