/** Two gateways of the built command and a link between them, through plugins that come with Sluice. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { startLink } from '../support/programs.ts';
import type { Scope } from '../support/scope.ts';

export interface Joined {
  /** Of a client at the first gateway. */
  readonly client: Socket;
  /** Standard error of either gateway, as far as it has come. */
  readonly first: Awaited<ReturnType<typeof startLink>>;
  readonly second: Awaited<ReturnType<typeof startLink>>;
}

const query = (text = ''): string => (text === '' ? '' : `?${text}`);

/**
 * `unix → LAYER+tcp`, `LAYER+tcp → sink`.
 *
 * @param options of the layer, in the source and in the sink
 */
export async function joinedBy(
  scope: Scope,
  plugin: string,
  layer: string,
  sink: string,
  options: { readonly source?: string; readonly sink?: string } = {},
): Promise<Joined> {
  const flags = ['--plugin', plugin];
  const second = await startLink(scope, `${layer}+tcp://127.0.0.1:0${query(options.source)}`, sink, ...flags);
  const near = `unix:${scope.folder()}/s`;
  const first = await startLink(scope, near, `${second.address}${query(options.sink)}`, ...flags);
  const client = connect({ path: near.slice('unix:'.length), allowHalfOpen: true });
  client.on('error', () => {});
  scope.defer(() => client.destroy());
  await once(client, 'connect');
  return { client, first, second };
}
