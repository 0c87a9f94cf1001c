/** The plugins that come with Sluice, by the name after `sluice/`: loaded when they are named, and held to the same rules. */
export const BUNDLED_PLUGINS: Readonly<Record<string, () => Promise<unknown>>> = {
  abstract: () => import('../plugins/abstract/index.ts'),
  command: () => import('../plugins/command/index.ts'),
  pt: () => import('../plugins/pt/index.ts'),
  rate: () => import('../plugins/rate/index.ts'),
  tls: () => import('../plugins/tls/index.ts'),
  zstd: () => import('../plugins/zstd/index.ts'),
};

/** What each brings, under the plugin's own name: known without loading it, for hints and lists. */
export const BUNDLED_KINDS: Readonly<Record<string, 'transport' | 'layer'>> = {
  abstract: 'transport',
  command: 'transport',
  pt: 'transport',
  rate: 'layer',
  tls: 'layer',
  zstd: 'layer',
};

/** The plugin of ours that somebody means by `rate` or `sluice-rate`. */
export function meantBundled(name: string): string | undefined {
  const [, short = ''] = /^(?:@?sluice[-/])?(?:plugin-)?(.*)$/.exec(name) ?? [];
  return Object.hasOwn(BUNDLED_PLUGINS, short) ? `sluice/${short}` : undefined;
}
