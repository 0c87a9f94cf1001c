/**
 * What a command that a far side has started finds within its reach: the services that this far side offers, in just the
 * session that it was started in. It is told by variables:
 *
 * - `BORG_RSH`, `RSYNC_RSH`, `GIT_SSH_COMMAND`: a remote shell whose host is the name of a service
 * - `SLUICE_SERVICES`: a folder with a socket for each, `NAME.sock`, for programs that want a socket
 *
 * All lie in a folder of their own and go with the session. It is for the account that the command runs as: where commands of
 * several far sides must not reach each other's services, each needs an account of its own (`user`). A command starts
 * without all this where it cannot be made. What a killed gateway has left is taken away by the next one (stale-services.ts).
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { formatParts, parseAddress, type Address } from '../address.ts';
import { reasonOf } from '../errors.ts';
import type { Link } from '../link.ts';
import type { OpenLink } from '../open-link.ts';
import type { Registry } from '../registry.ts';
import type { Session } from '../session/session.ts';
import { defineTransport, type Inbound, type Log } from '../../plugins/contract/index.ts';
import { originOf, type Origin } from './origins.ts';
import { PREFIX, SESSIONS } from './stale-services.ts';

export interface WithinReachContext {
  readonly registry: Registry;
  /** The command line that is this program. */
  readonly sluice: readonly string[];
  readonly log: Log;
  /** Opens a link whose lines are for nobody's eyes. */
  open(link: Link): Promise<OpenLink>;
}

const SERVICE = /^(?![-.])[A-Za-z0-9._-]{1,64}$/;
/** Of one session: a far side must not fill the table of descriptors by what it says that it offers. */
const MOST_SOCKETS = 32;
const MOST_SETS = 3;
/** Bytes of a path at which a UNIX socket can be made (107), without those of the private folder in which it is. */
const LONGEST_PATH = 98;
const NEVER = 0;

/** The names that the far side says it offers, of those that can be the name of a file. */
function offersOf({ metadata }: Origin): string[] {
  const { offers } = metadata;
  if (!Array.isArray(offers)) return [];
  return offers.filter((name): name is string => typeof name === 'string' && SERVICE.test(name)).slice(0, MOST_SOCKETS);
}

/** A sink that opens a service of just the session that the command was started in. */
const sinkOf = ({ tunnel, end }: Origin, service: string): Address => ({
  scheme: 'tunnel',
  role: 'sink',
  text: `tunnel:${tunnel.name}/${service}`,
  token: undefined,
  secrets: [],
  session: 'never',
  detachedLife: NEVER,
  heartbeat: NEVER,
  parsed: service,
  transport: defineTransport({
    contract: 1,
    name: 'tunnel',
    schemes: [],
    grammar: '',
    summary: '',
    options: {},
    capabilities: ['half-close', 'proves-end', 'tells-cut', 'diagnostics', 'exit-status'],
    parse: () => service,
    dial: (_address, { request = { environment: {} }, signal }) => tunnel.open(service, request, signal, end),
  }),
});

const quote = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

export type Variables = Readonly<Record<string, string>>;

/** Made for the first command of a session, and kept until the session is over: most commands need none of it. */
export class WithinReach {
  readonly #context: WithinReachContext;
  readonly #made = new WeakMap<Session, Map<string, Promise<Variables | undefined>>>();

  constructor(context: WithinReachContext) {
    this.#context = context;
  }

  /** @returns nothing where the far side offers nothing, or the sink runs no command */
  async of(inbound: Inbound, { transport, parsed }: Address, { name }: Link): Promise<Variables | undefined> {
    const origin = originOf(inbound);
    const services = origin === undefined ? [] : offersOf(origin);
    if (origin === undefined || services.length === 0 || transport.account === undefined) return undefined;
    const account = transport.account(parsed);
    const key = [account ?? '', ...services.toSorted()].join(' ');
    const { session } = origin.end;
    const made = this.#made.get(session) ?? new Map<string, Promise<Variables | undefined>>();
    this.#made.set(session, made);
    if (made.size >= MOST_SETS && !made.has(key)) return undefined;
    const variables = made.get(key) ?? this.#make(name, services, origin, account).catch(this.#tell);
    made.set(key, variables);
    return variables;
  }

  readonly #tell = (error: unknown): undefined => {
    this.#context.log.warn('what a far side offers is not within the reach of its commands', {
      reason: reasonOf(error),
    });
  };

  async #make(
    link: string,
    services: readonly string[],
    origin: Origin,
    account: string | undefined,
  ): Promise<Variables> {
    const { registry, open, sluice } = this.#context;
    const folder = await mkdtemp(join(tmpdir(), PREFIX));
    const opened: OpenLink[] = [];
    const close = async (): Promise<void> => {
      for (const one of opened) one.stopListening();
      await Promise.all(opened.map(({ listener }) => listener.closed.catch(() => {})));
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    };
    try {
      if (account !== undefined) await chmod(folder, 0o755); // each socket is the account's alone
      for (const { source, sinks } of plan(folder, services, origin, account, registry))
        opened.push(await open(linkTo(link, source, sinks)));
      void origin.end.session.closed.then(close).catch(this.#tell);
      return variablesOf(folder, sluice);
    } catch (error) {
      await close().catch(this.#tell);
      throw error;
    }
  }
}

function plan(
  folder: string,
  services: readonly string[],
  origin: Origin,
  account: string | undefined,
  registry: Registry,
) {
  const extra = account === undefined ? {} : { user: account };
  const at = (name: string, session: 'always' | 'never'): Address =>
    parseAddress(formatParts({ scheme: 'unix', target: join(folder, name), pairs: [] }, registry), {
      registry,
      role: 'source',
      folder,
      extra,
      session,
    });
  const sinks = new Map(services.map((service) => [service, sinkOf(origin, service)]));
  const plain = [...sinks]
    .filter(([service]) => join(folder, `${service}.sock`).length <= LONGEST_PATH)
    .map(([service, sink]) => ({ source: at(`${service}.sock`, 'never'), sinks: new Map([[service, sink]]) }));
  return [{ source: at(SESSIONS, 'always'), sinks }, ...plain];
}

function linkTo(name: string, source: Address, sinks: ReadonlyMap<string, Address>): Link {
  const [sink] = [...sinks.values()] as [Address];
  const more = { services: sinks, allow: [], idleAfterEnd: undefined, once: false };
  return { name: `${name}: ${basename(source.text)}`, source, sink, ...more };
}

function variablesOf(folder: string, sluice: readonly string[]): Record<string, string> {
  const shell = [...sluice, 'rsh', '--via', `unix:${join(folder, SESSIONS)}`].map(quote).join(' ');
  return { SLUICE_SERVICES: folder, BORG_RSH: shell, RSYNC_RSH: shell, GIT_SSH_COMMAND: shell };
}
