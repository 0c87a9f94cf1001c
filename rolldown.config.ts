/**
 * Two bundles. The command, without a single dependency, rare parts in chunks of their own; as CommonJS, because that
 * starts 10 ms faster (no import of a built-in module makes a facade of all its exports). The library, as ESM.
 */
import { join } from 'node:path';
import { defineConfig, type OutputOptions } from 'rolldown';

/** Native and optional: ws looks for the first two and does without; the last is loaded where a rule asks for a UNIX peer. */
const external = ['bufferutil', 'utf-8-validate', 'koffi'];

/** What a first-party plugin imports as anybody's would is in the bundle already. */
const resolve = { alias: { 'sluice/plugin': join(import.meta.dirname, 'plugins/contract/index.ts') } };

const output: OutputOptions = { dir: 'dist', minify: true };

export default defineConfig([
  {
    input: { sluice: 'core/cli/sluice.ts' },
    platform: 'node',
    external,
    resolve,
    output: {
      ...output,
      cleanDir: true,
      format: 'cjs',
      entryFileNames: '[name].js',
      chunkFileNames: 'chunks/[name]-[hash].js',
    },
    plugins: [
      {
        name: 'module kind',
        generateBundle() {
          this.emitFile({ type: 'asset', fileName: 'package.json', source: '{ "type": "commonjs" }\n' });
        },
      },
    ],
  },
  {
    input: { plugin: 'plugins/contract/index.ts', compliance: 'compliance/index.ts', index: 'core/index.ts' },
    platform: 'node',
    external,
    resolve,
    output: { ...output, format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: 'chunks/[name]-[hash].mjs' },
  },
]);
