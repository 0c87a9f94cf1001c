/**
 * The long-lived singletons, and what each is made of: the only import of inversify. No decorators: swapping two
 * tokens does not compile. Connections, relays and pure functions take plain arguments instead.
 */
import { Container, type ServiceIdentifier } from 'inversify';
import { Gateway } from './gateway.ts';
import type { CoreLog } from './log.ts';
import { Registry } from './registry.ts';
import type { Folders, Transport } from '../plugins/contract/index.ts';

const token = <T>(name: string): ServiceIdentifier<T> => Symbol(name);

const every = <T>(serviceIdentifier: ServiceIdentifier<T>) => ({ serviceIdentifier, isMultiple: true }) as const;

export const tokens = {
  log: token<CoreLog>('log'),
  folders: token<Folders>('folders'),
  transport: token<Transport>('transport'),
  registry: token<Registry>('registry'),
  gateway: token<Gateway>('gateway'),
};

export interface Singletons {
  readonly log: CoreLog;
  readonly folders: Folders;
  readonly transports: readonly Transport[];
}

export function createContainer({ log, folders, transports }: Singletons): Container {
  const container = new Container({ defaultScope: 'Singleton' });
  container.bind(tokens.log).toConstantValue(log);
  container.bind(tokens.folders).toConstantValue(folders);
  for (const transport of transports) container.bind(tokens.transport).toConstantValue(transport);
  container.bind(tokens.registry).toResolvedValue((all: Transport[]) => new Registry(all), [every(tokens.transport)]);
  container
    .bind(tokens.gateway)
    .toResolvedValue((own: CoreLog, where: Folders) => new Gateway(own, where), [tokens.log, tokens.folders]);
  return container;
}
