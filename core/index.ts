/** What an embedder may import as `sluice`. */
export { parseAddress, splitAddress, formatParts, type Address, type Parts } from './address.ts';
export { createContainer, tokens } from './container.ts';
export { ERRORS, SluiceError, type ErrorCode } from './errors.ts';
export { createFolders } from './folders.ts';
export { Gateway, type OpenTunnel } from './gateway.ts';
export { ANYONE, explainLink, type Link } from './link.ts';
export { createLog, type CoreLog } from './log.ts';
export type { OpenLink } from './open-link.ts';
export { Registry } from './registry.ts';
export { Relay, type Outcome } from './relay.ts';
export { Tunnel } from './tunnels/tunnel.ts';
export { Tunnels } from './tunnels/tunnels.ts';
export { builtInTransports } from '../transports/index.ts';
