/**
 * The tunnels of a configuration while it changes. What stays as it was keeps its sessions, and so does an entrance for
 * which only those who may come in have changed. A tunnel is one object for as long as there is one of its name, because
 * links offer services to it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Address } from '../address.ts';
import { SluiceError, reasonOf } from '../errors.ts';
import type { Gateway, OpenTunnel } from '../gateway.ts';
import type { Log } from '../../plugins/contract/index.ts';
import type { DialingPlan } from './dialing.ts';
import type { EntrancePlan } from './entrance.ts';
import { tunnelsOf, type TunnelPlans } from './plans.ts';
import type { Tunnel } from './tunnel.ts';

/** One that runs; a tunnel by its name, an entrance by its place. */
interface Running {
  readonly open: OpenTunnel;
  /** All that decides how it is dialed or listened on. */
  readonly shape: unknown;
}

/** One that is wanted. */
interface Wanted {
  readonly key: string;
  readonly shape: unknown;
  readonly plan: DialingPlan | EntrancePlan;
}

const shapeOf = ({ text, token, detachedLife, heartbeat }: Address): unknown => [text, token, detachedLife, heartbeat];

const placeOf = ({ source }: EntrancePlan): string => source.transport.occupies?.(source.parsed) ?? source.text;

const wantedOf = ({ dialing, entrances }: TunnelPlans): Wanted[] => [
  ...entrances.map((plan) => ({ key: `at ${placeOf(plan)}`, shape: shapeOf(plan.source), plan })),
  ...dialing.map((plan) => ({ key: `to ${plan.tunnel.name}`, shape: plan.addresses.map(shapeOf), plan })),
];

export class ConfiguredTunnels {
  readonly #gateway: Gateway;
  readonly #log: Log;
  readonly #running = new Map<string, Running>();
  /** By tunnel, as the newest configuration has them. */
  #waits = new Map<Tunnel, number>();
  #current: ReadonlySet<Tunnel> = new Set();
  #applying: Promise<unknown> = Promise.resolve();

  constructor(gateway: Gateway, log: Log) {
    this.#gateway = gateway;
    this.#log = log;
  }

  /**
   * The same plans with the tunnels that there are already. The links of a configuration need its tunnels, so this comes
   * before them.
   */
  adopt({ dialing, entrances }: TunnelPlans): TunnelPlans {
    this.#waits = new Map();
    const own = <P extends { readonly tunnel: Tunnel }>(plan: P): P => {
      const tunnel = this.#gateway.tunnels.adopt(plan.tunnel);
      this.#waits.set(tunnel, plan.tunnel.wait);
      return { ...plan, tunnel };
    };
    return {
      dialing: dialing.map(own),
      entrances: entrances.map(({ source, waiting }) => ({ source, waiting: waiting.map(own) })),
    };
  }

  /** What was adopted is not wanted after all. */
  disown(): void {
    this.#gateway.tunnels.keepOnly(this.#current);
  }

  /** @throws SluiceError if one cannot be listened for; those before it are open */
  async start(plans: TunnelPlans): Promise<void> {
    this.#current = new Set(tunnelsOf(plans));
    for (const wanted of wantedOf(plans)) await this.#open(wanted);
  }

  /** Takes over what has changed. What cannot be listened for is told, and the others run. */
  apply(plans: TunnelPlans): Promise<void> {
    this.#current = new Set(tunnelsOf(plans));
    const applying = this.#apply(wantedOf(plans));
    this.#applying = applying;
    return applying;
  }

  /** Resolves when none is left; with why the source of one has ended without having been asked to. */
  async over(): Promise<SluiceError | undefined> {
    for (;;) {
      const before = [...this.#running.values()];
      await Promise.all(before.map(({ open }) => open.done));
      await this.#applying;
      const now = [...this.#running.values()];
      if (now.every((one) => before.includes(one)))
        return now.find(({ open }) => open.failure !== undefined)?.open.failure;
    }
  }

  async #apply(wanted: readonly Wanted[]): Promise<void> {
    const keys = new Map(wanted.map((one) => [one.key, one]));
    for (const [key, running] of this.#running)
      if (running.open.failure !== undefined || !isDeepStrictEqual(keys.get(key)?.shape, running.shape))
        await this.#close(key, running);
    for (const one of wanted) {
      const running = this.#running.get(one.key);
      if (running !== undefined) {
        if ('waiting' in one.plan) running.open.update?.(one.plan.waiting);
      } else
        await this.#open(one).catch((error: unknown) =>
          this.#log.error('a tunnel is not open', { reason: reasonOf(error) }),
        );
    }
    for (const [tunnel, wait] of this.#waits) tunnel.wait = wait;
    this.#gateway.tunnels.keepOnly(this.#current);
  }

  async #open({ key, shape, plan }: Wanted): Promise<void> {
    const open = await ('waiting' in plan ? this.#gateway.openEntrance(plan) : this.#gateway.dialTunnel(plan));
    this.#running.set(key, { open, shape });
  }

  async #close(key: string, { open }: Running): Promise<void> {
    this.#running.delete(key);
    open.stop();
    open.end(new SluiceError('SLUICE_STOPPED', 'the configuration has another tunnel in its place, or none'));
    await open.done;
  }
}
