/**
 * Plugins: files in TypeScript or JavaScript, loaded without a build step. The only import of jiti, and only where a
 * configuration or a flag names a plugin. `sluice/plugin` resolves to the running Sluice wherever the file lies, and
 * nothing is cached on disk.
 */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pathResolver } from './address.ts';
import { SluiceError, reasonOf } from './errors.ts';
import { assertOwnFolder, readOwnFile } from './own-file.ts';
import * as contract from '../plugins/contract/index.ts';
import type { Transport } from '../plugins/contract/index.ts';

const REQUIRED = {
  name: 'string',
  schemes: 'array',
  grammar: 'string',
  summary: 'string',
  options: 'object',
  capabilities: 'array',
  parse: 'function',
};

const refuse = (plugin: string, why: string, cause?: unknown): SluiceError =>
  new SluiceError('SLUICE_PLUGIN', `plugin ${plugin}: ${why}`, { cause });

const kindOf = (value: unknown): string => (Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value);

/** What a plugin exports, checked member by member. @throws SluiceError SLUICE_PLUGIN naming the member. */
export function assertTransport(plugin: string, value: unknown): Transport {
  if (kindOf(value) !== 'object') {
    throw refuse(plugin, 'it has no default export made by defineTransport({ … })');
  }
  const members = value as Readonly<Record<string, unknown>>;
  for (const [name, kind] of Object.entries(REQUIRED)) {
    if (kindOf(members[name]) === kind) continue;
    throw refuse(plugin, `its "${name}" must be of type ${kind}, and is ${kindOf(members[name])}`);
  }
  if (members['listen'] === undefined && members['dial'] === undefined) {
    throw refuse(plugin, 'it has neither "listen" nor "dial"; it needs one of them');
  }
  return value as Transport;
}

/** `./file.ts`, `/folder` or `package`, as the file to load. */
function locate(plugin: string, folder: string): string {
  const isPath = plugin.startsWith('.') || plugin.startsWith('~/') || isAbsolute(plugin);
  const path = isPath ? pathResolver(folder)(plugin) : join(folder, 'node_modules', plugin);
  if (!existsSync(path))
    throw refuse(
      plugin,
      isPath ? `there is no ${path}` : `it is not installed beside ${folder}; run npm install ${plugin} there`,
    );
  return realpathSync(path);
}

/** A folder's own entry file counts as well as the folder: who can write either decides what runs. */
async function assertOwnPlugin(path: string, entryOf: (folder: string) => string): Promise<void> {
  if (statSync(path).isFile()) return void (await readOwnFile(path));
  await assertOwnFolder(path);
  const entry = entryOf(path);
  await readOwnFile(entry.startsWith('file:') ? fileURLToPath(entry) : entry);
}

/** Loads one plugin. @throws SluiceError SLUICE_PLUGIN */
export async function loadPlugin(plugin: string, folder: string): Promise<Transport> {
  const path = locate(plugin, folder);
  try {
    const { createJiti } = await import('jiti/static');
    const jiti = createJiti(join(folder, 'sluice.yaml'), {
      fsCache: false,
      virtualModules: { 'sluice/plugin': contract },
    });
    await assertOwnPlugin(path, (folderPath) => jiti.esmResolve(folderPath));
    return assertTransport(plugin, await jiti.import(path, { default: true }));
  } catch (error) {
    if (SluiceError.is(error)) throw error;
    throw refuse(plugin, reasonOf(error), error);
  }
}
