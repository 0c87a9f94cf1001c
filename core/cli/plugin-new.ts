/** `sluice plugin new`: writes a package that is complete, and passes its own test at once, without a network. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { SluiceError } from '../errors.ts';
import type { PluginNewFlags } from './flags.ts';
import { pluginFiles } from './plugin-templates.ts';

/** The folder of the running Sluice; `undefined` in the single executable, which has none. */
function ownFolder(): string | undefined {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (existsSync(file) && (JSON.parse(readFileSync(file, 'utf8')) as { name?: string }).name === 'sluice')
      return folder;
  }
  return undefined;
}

export function runPluginNew(name: string, { layer }: PluginNewFlags): number {
  if (!/^[a-z][a-z0-9-]{0,40}$/.test(name))
    throw new SluiceError(
      'SLUICE_USAGE',
      `plugin new: expected a name of a-z, 0-9 and "-", a letter first, got ${JSON.stringify(name)}`,
    );
  const folder = resolve(`sluice-${name}`);
  if (existsSync(folder)) throw new SluiceError('SLUICE_USAGE', `plugin new: ${folder} is there already`);
  const sluice = ownFolder();
  for (const [path, text] of Object.entries(pluginFiles(name, layer === true, sluice))) {
    mkdirSync(dirname(join(folder, path)), { recursive: true, mode: 0o755 });
    writeFileSync(join(folder, path), text, { mode: 0o644 });
  }
  if (sluice !== undefined) {
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(sluice, join(folder, 'node_modules', 'sluice')); // as npm does for file:, without npm
  }
  process.stdout.write(`${folder}\nNext: cd sluice-${name} && npm test\n`);
  return 0;
}
