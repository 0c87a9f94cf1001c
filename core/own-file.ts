/** Files that decide what runs (configuration, plugins) must be ours or root's, and nobody else's to write. */
import { open } from 'node:fs/promises';

/**
 * The text of a file that only this user and root can change. Owner and mode are read from the open file, so that it
 * cannot be exchanged in between.
 *
 * @throws Error that says what is wrong and how to mend it
 */
export async function readOwnFile(path: string): Promise<string> {
  const file = await open(path);
  try {
    const found = await file.stat();
    const uid = process.getuid?.() ?? 0;
    if (!found.isFile()) throw new Error(`${path} is not a file`);
    if (found.uid !== uid && found.uid !== 0) {
      throw new Error(`${path} belongs to user ${found.uid}, and only you (${uid}) or root may own it; chown it`);
    }
    if ((found.mode & 0o022) !== 0) throw new Error(`${path} can be written by others; run: chmod go-w ${path}`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
