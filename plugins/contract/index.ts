/** `sluice/plugin`: all that a transport, built in or from a third party, may import of Sluice. */
export type {
  Admitted,
  Adopted,
  Connection,
  Diagnosed,
  ExitStatus,
  Identity,
  Inbound,
  Outbound,
  Peer,
  Protocol,
  ReleasingStream,
  Request,
} from './connection.ts';
export type { OptionSpec, OptionSpecs, Options } from './options.ts';
export {
  defineTransport,
  type Capability,
  type DialContext,
  type Fields,
  type Folders,
  type ListenContext,
  type Listener,
  type Log,
  type ParseInput,
  type Role,
  type Transport,
} from './transport.ts';
