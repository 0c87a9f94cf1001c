/** Two gateways in this process with a tunnel between them: `hub` listens, `office` dials. */
import { connect, type Socket } from 'node:net';
import { parseAddress } from '../../core/address.ts';
import { Tunnel } from '../../core/tunnels/tunnel.ts';
import type { OpenTunnel } from '../../core/index.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';

export interface Listening {
  readonly gateway: TestGateway;
  readonly tunnel: Tunnel;
  readonly entrance: OpenTunnel;
  readonly address: string;
}

export interface HubOptions {
  readonly wait?: number;
  readonly allow?: readonly string[];
  /** The gateway that listens; by default a new one. */
  readonly gateway?: TestGateway;
}

/** A gateway that listens for the tunnel `office`. */
export async function startHub(
  scope: Scope,
  source = 'tcp://127.0.0.1:0',
  { wait = 10_000, allow = [], gateway = startGateway(scope) }: HubOptions = {},
): Promise<Listening> {
  const tunnel = new Tunnel('office', wait);
  gateway.gateway.tunnels.add(tunnel);
  const entrance = await gateway.gateway.openEntrance({
    source: parseAddress(source, { registry: gateway.registry, role: 'source', folder: '/', session: 'always' }),
    waiting: [{ tunnel, allow }],
  });
  return { gateway, tunnel, entrance, address: entrance.address ?? '' };
}

export interface Dialing {
  readonly gateway: TestGateway;
  readonly tunnel: Tunnel;
  readonly dialed: OpenTunnel;
}

export interface DialingOptions {
  readonly resume?: string;
  readonly heartbeat?: string;
  readonly wait?: number;
  readonly isKept?: boolean;
  readonly betterAddress?: number;
  /** Services of its own, and their sinks: there before the far side is. */
  readonly offer?: Readonly<Record<string, string>>;
  /** The gateway that dials; by default a new one. */
  readonly gateway?: TestGateway;
}

/** A gateway that dials the tunnel `hub`. */
export async function startOffice(
  scope: Scope,
  addresses: readonly string[],
  {
    wait = 10_000,
    isKept = true,
    betterAddress,
    offer = {},
    gateway = startGateway(scope),
    ...extra
  }: DialingOptions = {},
): Promise<Dialing> {
  const tunnel = new Tunnel('hub', wait);
  gateway.gateway.tunnels.add(tunnel);
  for (const [service, sink] of Object.entries(offer)) await gateway.open(`tunnel:hub/${service}`, sink);
  const { registry } = gateway;
  const dialed = await gateway.gateway.dialTunnel({
    tunnel,
    addresses: addresses.map((text) =>
      parseAddress(text, { registry, role: 'sink', folder: '/', session: 'always', extra }),
    ),
    identity: undefined,
    isKept,
    takeOver: isKept,
    ...(betterAddress !== undefined && { betterAddress }),
  });
  return { gateway, tunnel, dialed };
}

/** A client of a socket, which may end its direction before the other has ended. */
export const client = (path: string): Socket => connect({ path, allowHalfOpen: true }).on('error', () => {});
