/**
 * `sluice tunnel`: one tunnel, from the command line, for as long as this runs. It dials its far side; or, with `stdio:`, its
 * far side has started it (over ssh, say), and what it offers is what the flags say, or a configuration.
 *
 * Everything ends with it, whatever happens: its sockets, the services that it offered, and the commands behind them.
 */
import { parseAddress, type Address } from '../address.ts';
import { forStdio } from '../config/tunnels.ts';
import { locateConfig } from '../config/locate.ts';
import { SluiceError } from '../errors.ts';
import type { Gateway } from '../gateway.ts';
import { inspectAddress } from '../inspect.ts';
import { LIMITS } from '../limits.ts';
import type { Link } from '../link.ts';
import { SERVICE } from '../names.ts';
import type { Registry } from '../registry.ts';
import type { Outcome } from '../relay.ts';
import { tunnelsOf, type TunnelPlans } from '../tunnels/plans.ts';
import { tunnelOf } from '../tunnels/tunnel-address.ts';
import { Tunnel } from '../tunnels/tunnel.ts';
import type { Log } from '../../plugins/contract/index.ts';
import { createEnvironment } from './environment.ts';
import type { TunnelFlags } from './flags.ts';
import { readServices, statusOf, tellFailure, watchAsProxy } from './link.ts';
import { watchAsGateway } from './signals.ts';

/** What the far side is called here; nobody else sees it. */
const FAR = 'far';

interface Plan {
  readonly links: readonly Link[];
  readonly tunnels: TunnelPlans;
}

const linkOf = (name: string, source: Address, sink: Address, once = false): Link => ({
  name,
  source,
  sink,
  services: new Map(),
  allow: [],
  idleAfterEnd: once ? 0 : undefined,
  once,
});

/** `SOURCE=NAME`: the name is what follows the last "=". */
function readOpen(text: string): { source: string; service: string } {
  const [, source = '', service = ''] = /^(.+)=([^=]*)$/s.exec(text) ?? [];
  if (SERVICE.test(service)) return { source, service };
  throw new SluiceError(
    'SLUICE_USAGE',
    `--open ${JSON.stringify(text)}: expected SOURCE=NAME, as unix:/run/user/1000/db.sock=database`,
  );
}

/** @throws SluiceError SLUICE_ACCESS: nothing here names who may use it */
function assertLocal(source: Address): Address {
  if (source.transport.reach?.(source.parsed) !== 'network') return source;
  throw new SluiceError(
    'SLUICE_ACCESS',
    `--open: ${source.text} can be reached from the network, and this command lets whoever reaches it in; listen on 127.0.0.1, [::1] or a UNIX socket, or put the tunnel and a link with "allow:" into a configuration`,
  );
}

function readLinks({ serve, open = [], run }: TunnelFlags, registry: Registry): Link[] {
  const folder = process.cwd();
  const read = (text: string, role: 'source' | 'sink'): Address => parseAddress(text, { registry, role, folder });
  const far = (service: string, role: 'source' | 'sink'): Address => read(`tunnel:${FAR}/${service}`, role);
  const offered = [...readServices(serve, folder, registry, '--serve')].map(([name, sink]) =>
    linkOf(`serve ${name}`, far(name, 'source'), sink),
  );
  const opened = open.map((text) => {
    const { source, service } = readOpen(text);
    return linkOf(`open ${service}`, assertLocal(read(source, 'source')), far(service, 'sink'));
  });
  const ran = run === undefined ? [] : [linkOf(`run ${run}`, read('stdio:', 'source'), far(run, 'sink'), true)];
  return [...offered, ...opened, ...ran];
}

/** The far side has started us: it comes in by standard input and output. */
async function planForStdio(flags: TunnelFlags, registry: Registry): Promise<Plan> {
  if (flags.run !== undefined)
    throw new SluiceError('SLUICE_USAGE', '--run needs standard input and output, which the tunnel itself uses');
  const isGiven = flags.serve !== undefined || flags.open !== undefined;
  if (isGiven && flags.config === undefined) {
    const source = parseAddress('stdio:', { registry, role: 'source', folder: process.cwd(), session: 'always' });
    const waiting = [{ tunnel: new Tunnel(FAR, LIMITS.tunnelWait), allow: [] }];
    return { links: readLinks(flags, registry), tunnels: { dialing: [], entrances: [{ source, waiting }] } };
  }
  if (isGiven) throw new SluiceError('SLUICE_USAGE', '--config says what is offered; leave --serve and --open out');
  const { loadConfiguration } = await import('../config/load.ts');
  const file = locateConfig(flags.config, process.env, 'name what is offered with --serve NAME=SINK');
  const loaded = forStdio(await loadConfiguration(file, registry));
  if (tunnelsOf(loaded.tunnels).length > 0) return loaded;
  throw new SluiceError('SLUICE_CONFIG', `${file}: no tunnel has "listen: stdio:"`);
}

function planForDial(address: string, flags: TunnelFlags, registry: Registry): Plan {
  const links = readLinks(flags, registry);
  if (links.length === 0)
    throw new SluiceError(
      'SLUICE_USAGE',
      'a tunnel for nothing; say what: --serve NAME=SINK, --open SOURCE=NAME or --run NAME',
    );
  const sink = parseAddress(address, { registry, role: 'sink', folder: process.cwd(), session: 'always' });
  const tunnel = new Tunnel(FAR, LIMITS.tunnelWait);
  const dialing = [
    { tunnel, addresses: [sink], identity: undefined, isKept: false, takeOver: flags.takeOver ?? false },
  ];
  return { links, tunnels: { dialing, entrances: [] } };
}

/** ms that the far side gets to take the last words, when what was run is over. */
const FAREWELL = 1_000;

/** What is offered is there before the far side is; what runs comes last. @throws the first failure to reach the far side */
async function openAll({ links, tunnels }: Plan, gateway: Gateway): Promise<{ over: Promise<Outcome | undefined> }> {
  for (const tunnel of tunnelsOf(tunnels)) gateway.tunnels.add(tunnel);
  for (const link of links.filter(({ once }) => !once)) await gateway.open(link);
  const opened = [];
  for (const entrance of tunnels.entrances) opened.push(await gateway.openEntrance(entrance));
  for (const plan of tunnels.dialing) {
    const dialed = await gateway.dialTunnel(plan);
    await dialed.up;
    opened.push(dialed);
  }
  const ran = links.find(({ once }) => once);
  if (ran !== undefined) return { over: (await gateway.open(ran)).done };
  return { over: Promise.all(opened.map(({ done }) => done)).then(() => undefined) };
}

/** What we offer may come later; until then whoever asks for it fails. */
async function warnOfSinks({ links }: Plan, log: Log): Promise<void> {
  for (const { name, source, sink } of links)
    if (tunnelOf(source) === FAR)
      for (const fault of await inspectAddress(sink)) log.warn('the sink is not ready', { link: name, reason: fault });
}

/** What the far side said, without the name that it has here alone. */
function withoutFar(outcome: Outcome | undefined): Outcome | undefined {
  const { reason } = outcome ?? {};
  if (outcome === undefined || reason === undefined) return outcome;
  const message = reason.message.replace(new RegExp(`^dial tunnel:${FAR}/\\S+: `), '');
  return { ...outcome, reason: new SluiceError(reason.code, message, { cause: reason }) };
}

/** Resolves with the process's exit status. */
export async function runTunnel(address: string, flags: TunnelFlags): Promise<number> {
  const isStandIn = flags.run !== undefined;
  const isStarted = address === 'stdio:';
  const level = isStandIn || isStarted ? 'warning' : 'info';
  const environment = await createEnvironment(flags, { isStandIn, level });
  const { gateway, log, registry } = environment;
  const plan = isStarted ? await planForStdio(flags, registry) : planForDial(address, flags, registry);
  await warnOfSinks(plan, log);
  const signalled = isStandIn ? watchAsProxy(environment) : watchAsGateway(gateway, log);
  try {
    const outcome = await (await openAll(plan, gateway)).over;
    await gateway.close(isStandIn ? FAREWELL : LIMITS.drain);
    const status = await signalled.status();
    if (isStandIn && status === undefined) tellFailure(withoutFar(outcome));
    return status ?? statusOf(outcome, isStandIn);
  } catch (error) {
    await gateway.close(0);
    throw error;
  }
}
