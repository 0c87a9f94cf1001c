/** A folder to put on the PATH that has these programs and no others. */
import { execFileSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Scope } from './scope.ts';

export function onlyPrograms(scope: Scope, ...names: string[]): string {
  const folder = scope.folder();
  for (const name of names) {
    const found = execFileSync('/bin/sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    symlinkSync(found, join(folder, name));
  }
  return folder;
}
