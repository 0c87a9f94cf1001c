/** A wire before a far gateway that can be made so bad that no connection lives longer than a moment. */
import { chaosProxy, type ChaosProxy } from './chaos.ts';
import type { Scope } from './scope.ts';

export interface Weather {
  /** ms that a connection lives in the storm. */
  readonly life: number;
  /** Bytes per second, so that what is to be cut takes long enough. */
  readonly rate: number;
}

export class Storm {
  /** True: what connects from now on is slow, and is cut soon after, by an end and by a reset in turn. */
  rages = false;
  readonly #scope: Scope;
  readonly #weather: Weather;
  #proxy: ChaosProxy | undefined;
  #caught = 0;

  constructor(scope: Scope, weather: Weather = { life: 300, rate: 1_000_000 }) {
    this.#scope = scope;
    this.#weather = weather;
  }

  /** Puts it before a gateway; resolves with the address to dial. For `startFar`. */
  readonly through = async (address: string): Promise<string> => {
    const [, port = ''] = /:(\d+)/.exec(address) ?? [];
    const proxy = await chaosProxy(Number(port), (connection) => {
      if (!this.rages) return {};
      this.#caught += 1;
      const { life, rate } = this.#weather;
      return { cutAfterMs: life, rate, how: connection % 2 === 0 ? 'fin' : 'rst' };
    });
    this.#proxy = proxy;
    this.#scope.defer(() => proxy.close());
    return address.replace(`:${port}`, `:${proxy.port}`);
  };

  /** Connections that somebody made in the storm. One program makes one, and another for each that was cut. */
  get caught(): number {
    return this.#caught;
  }

  /** Cuts what is connected now. */
  strike(): void {
    for (const wire of this.#proxy?.wires ?? []) wire.cut('rst');
  }

  /** Runs in the storm, with fair weather before and after. */
  async during<T>(run: () => Promise<T>): Promise<T> {
    this.rages = true;
    try {
      return await run();
    } finally {
      this.rages = false;
    }
  }
}
