/** The borg 2 of the tests. It stands outside the PATH, where `borg` is borg 1. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BORG2_FOLDER } from '../provision/borg2.ts';

/** The path of the executable. */
export function borg2(): string {
  if (!existsSync(join(BORG2_FOLDER, 'complete')))
    throw new Error(`there is no borg 2 in ${BORG2_FOLDER}: npm test makes it before the tests`);
  return join(BORG2_FOLDER, 'bin/borg');
}
