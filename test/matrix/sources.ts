/** Every source of the table. */
import { certificates } from '../support/certificates.ts';
import type { Scope } from '../support/scope.ts';
import { SELF, tcpClient, tlsClient, unixClient, webSocketClient } from './clients.ts';
import type { End } from './end.ts';
import { INHERITED_SOURCES } from './inherited-sources.ts';
import type { Source } from './source.ts';
import { ownStdio } from './stdio-end.ts';

const credentials = (): string => `cert=${certificates().server.cert}&key=${certificates().server.key}`;

/** A source that any gateway can listen at. */
const listening = (medium: string, address: (scope: Scope) => string, dial: (bound: URL) => Promise<End>): Source => ({
  name: medium,
  medium,
  prepare: async (scope) => ({
    launch: { address: address(scope) },
    dial: async (started) => dial(new URL(await started.bound())),
  }),
});

const port = (url: URL): number => Number(url.port);

const stdio: Source = {
  name: 'stdio',
  medium: 'stdio',
  process: 'one connection',
  prepare: async () => ({ launch: { address: 'stdio:' }, dial: async (started) => ownStdio(started) }),
};

export const SOURCES: readonly Source[] = [
  listening(
    'unix',
    (scope) => `unix:${scope.folder()}/s`,
    (bound) => unixClient(bound.pathname),
  ),
  listening(
    'tcp',
    () => `tcp://${SELF}:0`,
    (bound) => tcpClient(SELF, port(bound)),
  ),
  listening(
    'tls',
    () => `tls://${SELF}:0?${credentials()}`,
    (bound) => tlsClient(port(bound)),
  ),
  listening(
    'ws',
    () => `ws://${SELF}:0/matrix`,
    (bound) => webSocketClient(bound.href),
  ),
  listening(
    'wss',
    () => `wss://${SELF}:0/matrix?${credentials()}`,
    (bound) => webSocketClient(bound.href),
  ),
  listening(
    'ws+unix',
    (scope) => `ws+unix:${scope.folder()}/s:/matrix`,
    (bound) => webSocketClient(bound.href),
  ),
  stdio,
  ...INHERITED_SOURCES,
];
