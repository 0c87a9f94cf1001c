/** The plugins that come with Sluice, by the name after `sluice/`: loaded when they are named, and held to the same rules. */
export const BUNDLED_PLUGINS: Readonly<Record<string, () => Promise<unknown>>> = {
  abstract: () => import('../plugins/abstract/index.ts'),
  command: () => import('../plugins/command/index.ts'),
  pt: () => import('../plugins/pt/index.ts'),
  rate: () => import('../plugins/rate/index.ts'),
  tls: () => import('../plugins/tls/index.ts'),
  zstd: () => import('../plugins/zstd/index.ts'),
};
