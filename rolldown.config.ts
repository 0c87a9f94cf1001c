/** Bundles the command, so that it starts fast and installs without a single dependency. Rare parts are chunks of their own. */
import { defineConfig } from 'rolldown';

export default defineConfig({
  input: { sluice: 'core/cli/sluice.ts', plugin: 'plugins/contract/index.ts', index: 'core/index.ts' },
  platform: 'node',
  external: ['bufferutil', 'utf-8-validate'], // native and optional: ws looks for them and does without
  output: {
    dir: 'dist',
    cleanDir: true,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
    minify: true,
  },
});
