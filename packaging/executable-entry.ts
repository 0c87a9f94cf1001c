/**
 * What runs first inside the single executable: it loads the built command's chunks, which are the executable's
 * assets, where `require` would have looked for files. Each comes with its compiled code, so a start costs no more
 * than with files: half of what one large bundle costs.
 */
import module from 'node:module';
import { dirname, join, posix } from 'node:path';
import { getAsset, getRawAsset } from 'node:sea';
import { Script, constants } from 'node:vm';

type Require = (id: string) => unknown;
type Wrapper = (exports: object, require: Require, module: { exports: object }, file: string, folder: string) => void;

const loaded = new Map<string, { exports: object }>();

/** Only Node's own modules are outside: `bufferutil` is asked for, and done without. */
function requireBuiltIn(id: string): unknown {
  const found: unknown = process.getBuiltinModule(id);
  if (found === undefined) throw Object.assign(new Error(`there is no "${id}" in here`), { code: 'MODULE_NOT_FOUND' });
  return found;
}

function load(name: string): object {
  const known = loaded.get(name);
  if (known !== undefined) return known.exports;
  const made = { exports: {} };
  loaded.set(name, made);
  const file = join(dirname(process.execPath), name); // named so in stack traces; it is not there
  const script = new Script(getAsset(name, 'utf8'), {
    filename: file,
    cachedData: new Uint8Array(getRawAsset(`${name}.compiled`)),
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER, // plugins may bring ES modules
  });
  const requireFrom: Require = (id) =>
    id.startsWith('.') ? load(posix.join(posix.dirname(name), id)) : requireBuiltIn(id);
  (script.runInThisContext() as Wrapper)(made.exports, requireFrom, made, file, dirname(file));
  return made.exports;
}

module.enableCompileCache = () => ({ status: module.constants.compileCacheStatus.DISABLED }); // it has nothing to do here
load('sluice.js');
