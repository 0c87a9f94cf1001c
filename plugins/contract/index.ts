/** `sluice/plugin`: all that a transport or a layer, built in or from a third party, may import of Sluice. */
export type {
  Admitted,
  Adopted,
  Arrival,
  ClientCertificate,
  Connection,
  Credentials,
  Diagnosed,
  ExitStatus,
  Identity,
  Inbound,
  LendingStream,
  Outbound,
  Peer,
  Proof,
  Protocol,
  ReleasingStream,
  Request,
  UnixPeer,
} from './connection.ts';
export type { OptionSpec, OptionSpecs, Options } from './options.ts';
export {
  defineLayer,
  type Layer,
  type LayerContext,
  type LayerParseInput,
  type Layered,
  type StreamCapability,
} from './layer.ts';
export { through, type Transforms } from './through.ts';
export {
  CONTRACT,
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
