/**
 * The long-lived singletons, and what each is made of: the only import of inversify. No decorators: swapping two
 * tokens does not compile. Connections, relays and pure functions take plain arguments instead.
 */
import { Container, type ServiceIdentifier } from 'inversify';
import { Gateway, type GatewayOptions } from './gateway.ts';
import type { CoreLog } from './log.ts';
import { Registry } from './registry.ts';
import type { Folders, Transport } from '../plugins/contract/index.ts';

const token = <T>(name: string): ServiceIdentifier<T> => Symbol(name);

const every = <T>(serviceIdentifier: ServiceIdentifier<T>) => ({ serviceIdentifier, isMultiple: true }) as const;

export const tokens = {
  log: token<CoreLog>('log'),
  folders: token<Folders>('folders'),
  options: token<GatewayOptions>('gateway options'),
  transport: token<Transport>('transport'),
  registry: token<Registry>('registry'),
  gateway: token<Gateway>('gateway'),
};

export interface Singletons {
  readonly options?: GatewayOptions;
  readonly log: CoreLog;
  readonly folders: Folders;
  readonly transports: readonly Transport[];
}

export function createContainer({ log, folders, transports, options = {} }: Singletons): Container {
  const container = new Container({ defaultScope: 'Singleton' });
  container.bind(tokens.log).toConstantValue(log);
  container.bind(tokens.folders).toConstantValue(folders);
  container.bind(tokens.options).toConstantValue(options);
  for (const transport of transports) container.bind(tokens.transport).toConstantValue(transport);
  container.bind(tokens.registry).toResolvedValue((all: Transport[]) => new Registry(all), [every(tokens.transport)]);
  container
    .bind(tokens.gateway)
    .toResolvedValue(
      (own: CoreLog, where: Folders, registry: Registry, how: GatewayOptions) => new Gateway(own, where, registry, how),
      [tokens.log, tokens.folders, tokens.registry, tokens.options],
    );
  return container;
}
