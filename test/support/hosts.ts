/**
 * Hosts with a router between them: each reaches the others by name. One behind a NAT has a private address and is reached by
 * nobody; one behind a firewall is reached at the ports that it opens. The network to a host can be cut, and mended again.
 */
import { execFileSync } from 'node:child_process';
import { Host } from './host.ts';
import type { Scope } from './scope.ts';

export interface HostOptions {
  /** Others see the router's address instead of its own, and cannot connect to it. */
  readonly behindNat?: boolean;
  /** The only ports at which it is reached. */
  readonly ports?: readonly number[];
  /** Folders of the machine that it has, by their place in it: what two hosts share. */
  readonly shows?: Readonly<Record<string, string>>;
  /** Further names, as `backup.example`. */
  readonly names?: readonly string[];
}

interface Place {
  readonly name: string;
  readonly options: HostOptions;
  readonly address: string;
  readonly gateway: string;
  /** The router's interface toward it. */
  readonly link: string;
}

/** Public ones have addresses that are set aside for documentation. */
function placeOf([name, options]: [string, HostOptions], at: number): Place {
  const prefix = options.behindNat === true ? `192.168.${at}` : `198.51.100`;
  const base = options.behindNat === true ? 0 : 4 * at;
  return { name, options, address: `${prefix}.${base + 2}`, gateway: `${prefix}.${base + 1}`, link: `host${at}` };
}

const rulesFor = ({ options: { behindNat, ports }, link, address }: Place): string[] => [
  ...(behindNat === true
    ? [`add rule ip net forward oifname ${link} ct state new reject with icmp type net-unreachable`]
    : []),
  ...(behindNat === true ? [`add rule ip net nat ip saddr ${address} oifname != ${link} masquerade`] : []),
  ...(ports === undefined
    ? []
    : [`add rule ip net forward oifname ${link} ct state new tcp dport != { ${ports.join(', ')} } reject`]),
];

const RULES = `add table ip net
add chain ip net nat { type nat hook postrouting priority srcnat; }
add chain ip net cut { type filter hook forward priority -10; }
add chain ip net forward { type filter hook forward priority 0; }`;

export class Network {
  readonly #router: Host;
  readonly #places: ReadonlyMap<string, Place>;

  constructor(router: Host, places: readonly Place[]) {
    this.#router = router;
    this.#places = new Map(places.map((place) => [place.name, place]));
  }

  /** From now on nothing reaches it and nothing comes from it, and nobody is told: packets are lost. */
  async cut(host: Host): Promise<void> {
    const link = this.#places.get(host.name)?.link;
    await this.#nft(`add rule ip net cut oifname ${link} drop\nadd rule ip net cut iifname ${link} drop`);
  }

  /** From now on every connection with it is reset as soon as a byte of it comes by. */
  async breakConnections(host: Host): Promise<void> {
    const link = this.#places.get(host.name)?.link;
    const reset = 'meta l4proto tcp reject with tcp reset';
    await this.#nft(`add rule ip net cut oifname ${link} ${reset}\nadd rule ip net cut iifname ${link} ${reset}`);
  }

  /** All is as it was. */
  async mend(): Promise<void> {
    await this.#nft('flush chain ip net cut');
  }

  addressOf(host: Host): string {
    return this.#places.get(host.name)?.address ?? '';
  }

  async #nft(rules: string): Promise<void> {
    await this.#router.ok('nft -f -', { input: rules });
  }
}

/** A cable between the two, the router's end of it first. */
async function plug(router: Host, host: Host, { address, gateway, link }: Place): Promise<void> {
  const ends = ['link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(host.pid)];
  execFileSync('nsenter', [`--net=/proc/${router.pid}/ns/net`, 'ip', ...ends]);
  await router.ok(`ip addr add ${gateway}/30 dev ${link} && ip link set ${link} up`);
  await host.ok(`ip addr add ${address}/30 dev eth0 && ip link set eth0 up && ip route add default via ${gateway}`);
}

/** Starts the hosts, the router and the network between them; the scope ends them. */
export async function makeHosts<Name extends string>(
  scope: Scope,
  options: Readonly<Record<Name, HostOptions>>,
): Promise<Record<Name, Host> & { readonly network: Network }> {
  const places = Object.entries<HostOptions>(options).map((entry, at) => placeOf(entry, at + 1));
  const names = places.map(({ address, name, options: { names: more = [] } }) => [address, name, ...more].join(' '));
  const router = await Host.start(scope, 'router');
  await router.ok('echo 1 >/proc/sys/net/ipv4/ip_forward && nft -f -', {
    input: [RULES, ...places.flatMap(rulesFor)].join('\n'),
  });
  const hosts = await Promise.all(
    places.map(async (place) => {
      const host = await Host.start(scope, place.name, place.options.shows);
      await plug(router, host, place);
      await host.write('/etc/hosts', `127.0.0.1 localhost\n${names.join('\n')}\n`);
      return host;
    }),
  );
  const byName = Object.fromEntries(hosts.map((host) => [host.name, host])) as Record<Name, Host>;
  return { ...byName, network: new Network(router, places) };
}
