/**
 * Plugins: files in TypeScript or JavaScript, loaded without a build step. The only import of jiti, and only where a
 * configuration or a flag names a plugin. `sluice/plugin` resolves to the running Sluice wherever the file lies. What was
 * made of a file is kept in the user's own cache folder, because the compiler alone takes a tenth of a second to load.
 *
 * A plugin is named by a path (`./serial.ts`, `/folder`, `~/x.mjs`), by `sluice/NAME` if it comes with Sluice, or by the
 * name of a package that is installed beside the configuration (or the working directory), or beside Sluice.
 */
import { existsSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pathResolver } from './address.ts';
import { watchPlugin } from './blame.ts';
import { BUNDLED_PLUGINS, meantBundled } from './bundled-plugins.ts';
import { SluiceError, reasonOf } from './errors.ts';
import { didYouMean } from './nearest.ts';
import { assertOwnFolder, readOwnFile } from './own-file.ts';
import { readExports, type Exported } from './plugin-shape.ts';
import type { Registry } from './registry.ts';
import { baseOrHome } from './xdg.ts';
import type { JitiOptions } from 'jiti';
import * as contract from '../plugins/contract/index.ts';

/** In one line: what a loader of modules says goes on with the files that asked. */
const refuse = (plugin: string, cause: unknown): SluiceError =>
  new SluiceError('SLUICE_PLUGIN', `plugin ${plugin}: ${reasonOf(cause).split('\n', 1)[0]}`, { cause });

const isPath = (plugin: string): boolean =>
  plugin.startsWith('.') || plugin.startsWith('~/') || isAbsolute(plugin) || /\.(?:[cm]?[jt]s)$/.test(plugin);

/** Where packages may be installed: beside what names them, and beside us. */
function packageFolders(folder: string): string[] {
  const parts = import.meta.dirname.split(sep);
  const at = parts.lastIndexOf('node_modules');
  return [join(folder, 'node_modules'), ...(at < 0 ? [] : [parts.slice(0, at + 1).join(sep)])];
}

/** @throws Error with the remedy */
function locate(plugin: string, folder: string): string {
  if (isPath(plugin)) {
    const path = pathResolver(folder)(plugin);
    if (existsSync(path)) return realpathSync(path);
    throw new Error(`there is no ${path}`);
  }
  const found = packageFolders(folder)
    .map((modules) => join(modules, plugin))
    .find((path) => existsSync(path));
  if (found !== undefined) return realpathSync(found);
  const hint = existsSync(join(folder, plugin)) ? `; for the file or folder write ./${plugin}` : '';
  const meant = meantBundled(plugin);
  const remedy =
    meant === undefined ? `run npm install ${plugin} there` : `did you mean ${meant}, which comes with Sluice?`;
  throw new Error(`it is not installed beside ${folder}; ${remedy}${hint}`);
}

/** A folder's own entry file counts as well as the folder: who can write either decides what runs. */
async function readOwnEntry(path: string, entryOf: (folder: string) => string): Promise<string> {
  if (statSync(path).isFile()) return readOwnFile(path);
  await assertOwnFolder(path);
  const entry = entryOf(path);
  return readOwnFile(entry.startsWith('file:') ? fileURLToPath(entry) : entry);
}

/** Only the user can write it: what is in there is run. `false` where there is no such folder. */
function cacheFolder(): string | false {
  const folder = join(baseOrHome(process.env, 'XDG_CACHE_HOME', '.cache'), 'sluice', 'plugins');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(folder);
    return uid === process.getuid?.() && (mode & 0o022) === 0 ? folder : false;
  } catch {
    return false;
  }
}

class NeedsCompiler extends Error {}

const needCompiler = (): never => {
  throw new NeedsCompiler();
};

/** With what is in the cache, or else with the compiler. */
async function importFile(path: string, id: string, options: JitiOptions): Promise<unknown> {
  const { createJiti } = await import('jiti');
  try {
    return await createJiti(id, { ...options, transform: needCompiler }).import(path, { default: true });
  } catch (error) {
    if (!(error instanceof NeedsCompiler)) throw error;
    const { createJiti: withCompiler } = await import('jiti/static');
    return withCompiler(id, options).import(path, { default: true });
  }
}

async function importPlugin(plugin: string, folder: string): Promise<unknown> {
  const path = locate(plugin, folder);
  watchPlugin(plugin, path);
  const { createJiti } = await import('jiti');
  const id = join(folder, 'sluice.yaml');
  const text = await readOwnEntry(path, (folderPath) => createJiti(id).esmResolve(folderPath));
  const virtualModules = {
    'sluice/plugin': contract,
    ...(text.includes('sluice/compliance') && { 'sluice/compliance': await import('../compliance/index.ts') }),
  };
  return importFile(path, id, { fsCache: cacheFolder(), virtualModules });
}

async function importBundled(name: string): Promise<unknown> {
  const load = Object.hasOwn(BUNDLED_PLUGINS, name) ? BUNDLED_PLUGINS[name] : undefined;
  if (load !== undefined) return ((await load()) as { default: unknown }).default;
  const all = Object.keys(BUNDLED_PLUGINS);
  throw new Error(`Sluice brings no such plugin; it brings ${all.join(', ')}${didYouMean(name, all)}`);
}

/**
 * Loads one plugin.
 *
 * @param folder what a path is relative to, and where a package is looked for
 * @throws SluiceError SLUICE_PLUGIN that names the plugin and, where one is at fault, its member
 */
export async function loadPlugin(plugin: string, folder: string): Promise<Exported> {
  try {
    const isBundled = plugin.startsWith('sluice/');
    return readExports(await (isBundled ? importBundled(plugin.slice(7)) : importPlugin(plugin, folder)));
  } catch (error) {
    throw refuse(plugin, error);
  }
}

/** Loads plugins, one after another, and makes their schemes and layers known. @throws SluiceError SLUICE_PLUGIN */
export async function addPlugins(plugins: readonly string[], folder: string, registry: Registry): Promise<void> {
  for (const plugin of plugins) {
    const { transports, layers } = await loadPlugin(plugin, folder);
    try {
      for (const transport of transports) registry.register(transport);
      for (const layer of layers) registry.registerLayer(layer);
    } catch (error) {
      throw refuse(plugin, error);
    }
  }
}
