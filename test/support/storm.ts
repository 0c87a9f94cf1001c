/** A wire before a far gateway that can be made so bad that no connection lives longer than a moment. */
import { chaosProxy, type Chaos, type ChaosProxy } from './chaos.ts';
import type { Scope } from './scope.ts';

/** Bytes of a connection that was good for something: more than its handshakes. */
const FRUITFUL = 16 * 1024;
/** How much longer a connection may live at most, where those before it came to nothing. */
const MOST_PATIENCE = 4;

export interface Weather {
  /** ms that the first connection lives: if that comes to nothing, its client is told so, and need not try again. */
  readonly first: number;
  /** ms that every later one lives. */
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
  #patience = 1;
  #isFirst = true;

  constructor(scope: Scope, weather: Weather = { first: 1_000, life: 300, rate: 500_000 }) {
    this.#scope = scope;
    this.#weather = weather;
  }

  /** Puts it before a gateway; resolves with the address to dial. For `startFar`. */
  readonly through = async (address: string): Promise<string> => {
    const [, port = ''] = /:(\d+)/.exec(address) ?? [];
    const proxy = await chaosProxy(Number(port), (connection) => (this.rages ? this.#chaosOf(connection) : {}));
    this.#proxy = proxy;
    this.#scope.defer(() => proxy.close());
    return address.replace(`:${port}`, `:${proxy.port}`);
  };

  /** A machine under load may need longer than a life to connect at all: what came to nothing is given twice the time. */
  #chaosOf(connection: number): Chaos {
    const { first, life, rate } = this.#weather;
    const last = this.#proxy?.wires.at(-1);
    const isFruitless = last !== undefined && last.toFar + last.toNear < FRUITFUL;
    this.#patience = isFruitless ? Math.min(this.#patience * 2, MOST_PATIENCE) : 1;
    this.#caught += 1;
    const cutAfterMs = this.#isFirst ? first : life * this.#patience;
    this.#isFirst = false;
    return { cutAfterMs, rate, how: connection % 2 === 0 ? 'fin' : 'rst' };
  }

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
    this.rages = this.#isFirst = true;
    try {
      return await run();
    } finally {
      this.rages = false;
    }
  }
}
