/**
 * Holds a transport to the contract. What it throws, rejects with or leaves out in a contract call concerns that call alone,
 * and is told with the transport's name; nothing of it ends the gateway. Built-in transports are held to it like any other.
 */
import { isNativeError } from 'node:util/types';
import { within } from './blame.ts';
import { SluiceError, reasonOf } from './errors.ts';
import { LIMITS } from './limits.ts';
import type {
  Adopted,
  Connection,
  Inbound,
  ListenContext,
  Listener,
  Log,
  Outbound,
  Transport,
} from '../plugins/contract/index.ts';

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** Of any copy of Node's streams: a plugin may bring its own. */
export const isStream = (value: unknown): value is Connection['stream'] =>
  isObject(value) &&
  ['on', 'write', 'end', 'destroy', 'pause', 'resume'].every((name) => typeof value[name] === 'function');

/** What is missing in a connection, if anything. */
function faultOf(connection: unknown): string | undefined {
  if (!isObject(connection)) return 'a connection must be { stream, peer }';
  if (!isStream(connection['stream'])) return 'the "stream" of a connection must be a Duplex of Node';
  const { peer } = connection;
  return isObject(peer) && typeof peer['address'] === 'string' ? undefined : 'a connection lacks "peer": { address }';
}

const FIELDS = ['stream', 'peer', 'abort', 'delivered', 'protocol', 'identity', 'request', 'diagnostics'] as const;
const OF_INBOUND = ['exited', 'established', 'handle', 'credentials', 'arrival'] as const;

/** A plain object, also of an instance of a class: the core hands parts of connections on. */
function plain<C extends Inbound | Outbound>(connection: C, more: readonly string[], blame: Blame): C {
  const given = connection as unknown as Readonly<Record<string, unknown>>;
  const fields = [...FIELDS, ...more].flatMap((name) => {
    const value = given[name];
    if (value === undefined) return [];
    return [[name, typeof value === 'function' ? held(name, value as Method, connection, blame) : value] as const];
  });
  return Object.fromEntries(fields) as unknown as C;
}

type Blame = (what: string) => void;
type Method = (this: unknown, ...given: unknown[]) => unknown;

/** A method of a connection that is asynchronous, and fails, fails for that connection alone. */
const held =
  (name: string, method: Method, connection: Connection, blame: Blame) =>
  (...given: unknown[]): unknown => {
    const result = method.apply(connection, given);
    if (!isObject(result) || typeof result['then'] !== 'function') return result;
    return (result as unknown as Promise<unknown>).then(undefined, (error: unknown) => {
      blame(`its "${name}" rejected: ${reasonOf(error)}`);
      if (name === 'abort') connection.stream.destroy();
    });
  };

/** A plugin may throw anything; what is no Error says at least whose it is. */
function asError(name: string, thrown: unknown): Error {
  if (thrown instanceof Error || isNativeError(thrown)) return thrown;
  return new Error(`"${name}" threw ${reasonOf(thrown)}, which is no Error`);
}

const broken = (name: string, what: string): Error => new Error(`"${name}" breaks the contract: ${what}`);

interface Promises {
  readonly exit?: Outbound['exit'] | undefined;
  readonly delivered?: Outbound['delivered'] | undefined;
}

class Guard {
  readonly #transport: Transport;
  /** ms that `parse` took, where that was long: told as soon as there is a log. */
  #slowParse = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  get #name(): string {
    return this.#transport.name;
  }

  #blame(log: Log, what: string): void {
    log.error('a plugin breaks the contract', { transport: this.#name, what });
  }

  parse(input: Parameters<Transport['parse']>[0]): unknown {
    const begin = performance.now();
    try {
      return within(this.#name, () => this.#transport.parse(input));
    } catch (error) {
      throw asError(this.#name, error);
    } finally {
      this.#slowParse = Math.max(this.#slowParse, performance.now() - begin);
    }
  }

  #tellSlowParse(log: Log): void {
    if (this.#slowParse > LIMITS.slowParse)
      log.warn('a plugin is slow', {
        transport: this.#name,
        method: 'parse',
        milliseconds: Math.round(this.#slowParse),
      });
    this.#slowParse = 0;
  }

  /** A method that only tells something. @throws SluiceError SLUICE_PLUGIN */
  ask<T>(method: string, call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw new SluiceError('SLUICE_PLUGIN', `"${this.#name}": its "${method}" failed: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }

  async inspect(inspect: () => Promise<readonly string[]> | undefined): Promise<readonly string[]> {
    try {
      return (await inspect()) ?? [];
    } catch (error) {
      return [`"${this.#name}": its "inspect" failed: ${reasonOf(error)}`];
    }
  }

  async listen(listen: NonNullable<Transport['listen']>, address: unknown, context: ListenContext): Promise<Listener> {
    this.#tellSlowParse(context.log);
    const stop = new AbortController();
    const signal = AbortSignal.any([context.signal, stop.signal]);
    const state = { isClosed: false };
    const accept = this.#acceptOnce(context, state);
    const listener = await this.#within(LIMITS.listenTimeout, 'listen', stop, () =>
      listen(address, { ...context, signal, accept }),
    );
    if (!isObject(listener) || typeof listener.address !== 'string' || typeof listener.closed?.then !== 'function')
      throw broken(this.#name, '"listen" must resolve with { address, closed }');
    const closed = listener.closed.finally(() => void (state.isClosed = true));
    return { ...listener, closed };
  }

  /** Never throws into the transport, takes each connection once, and none after the end. */
  #acceptOnce({ accept, log }: ListenContext, state: { isClosed: boolean }): (inbound: Inbound) => void {
    const seen = new WeakSet<object>();
    return (inbound) => {
      const fault = faultOf(inbound);
      if (fault !== undefined) return this.#blame(log, fault);
      const { stream } = inbound;
      if (seen.has(stream)) return this.#blame(log, 'it called "accept" twice for one connection');
      seen.add(stream);
      if (state.isClosed) {
        stream.on('error', () => {}).destroy();
        return this.#blame(log, 'it called "accept" after its "closed" had resolved');
      }
      const blame = (what: string): void => this.#blame(log, what);
      accept({ ...plain(inbound, OF_INBOUND, blame), ...this.#settled({ delivered: inbound.delivered }, log) });
    };
  }

  async dial(dial: NonNullable<Transport['dial']>, ...[address, context]: Parameters<typeof dial>): Promise<Outbound> {
    this.#tellSlowParse(context.log);
    const outbound = await this.#caught(() => dial(address, context));
    const fault = faultOf(outbound);
    if (fault !== undefined) throw broken(this.#name, fault);
    return {
      ...plain(outbound, [], (what) => this.#blame(context.log, what)),
      ...this.#settled(outbound, context.log),
    };
  }

  async adopt(
    adopt: NonNullable<Transport['adopt']>,
    ...[address, handle, context]: Parameters<typeof adopt>
  ): Promise<Adopted | undefined> {
    const adopted = await this.#within(LIMITS.dialTimeout, 'adopt', undefined, () => adopt(address, handle, context));
    if (adopted === undefined) return undefined;
    if (!isObject(adopted) || typeof adopted.exit?.then !== 'function' || typeof adopted.abort !== 'function')
      throw broken(this.#name, '"adopt" must resolve with { exit, abort }, or with nothing');
    return adopted;
  }

  /** `exit` and `delivered` never reject: a rejection that nobody awaits would end the process. */
  #settled({ exit, delivered }: Promises, log: Log): Pick<Outbound, 'exit' | 'delivered'> {
    const tell = (what: string, error: unknown): void =>
      this.#blame(log, `its promise "${what}" rejected: ${reasonOf(error)}`);
    const lost = (error: unknown): undefined => {
      tell('exit', error);
    };
    const undelivered = (error: unknown): false => {
      tell('delivered', error);
      return false;
    };
    return {
      ...(exit && { exit: exit.catch(lost) }),
      ...(delivered && { delivered: delivered.catch(undelivered) }),
    };
  }

  async #caught<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await within(this.#name, call);
    } catch (error) {
      throw asError(this.#name, error);
    }
  }

  async #within<T>(
    limit: number,
    method: string,
    stop: AbortController | undefined,
    call: () => Promise<T>,
  ): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const reason = new Error(`"${this.#name}": its "${method}" has not settled within ${limit / 1000} s`);
      late.reject(reason);
      stop?.abort(reason);
    }, limit);
    try {
      return await Promise.race([this.#caught(call), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The transport as the core uses it. */
export function guarded(transport: Transport): Transport {
  const guard = new Guard(transport);
  const { listen, dial, adopt } = transport;
  return {
    ...transport,
    parse: (input) => guard.parse(input),
    occupies: (address) => guard.ask('occupies', () => transport.occupies?.(address)),
    reach: (address) => guard.ask('reach', () => transport.reach?.(address)),
    caution: (address, who) => guard.ask('caution', () => transport.caution?.(address, who)),
    inspect: (address, role, proofs) => guard.inspect(() => transport.inspect?.(address, role, proofs)),
    ...(listen && { listen: (...given) => guard.listen(listen.bind(transport), ...given) }),
    ...(dial && { dial: (...given) => guard.dial(dial.bind(transport), ...given) }),
    ...(adopt && { adopt: (...given) => guard.adopt(adopt.bind(transport), ...given) }),
  };
}
