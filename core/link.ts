import { viaOf, type Address } from './address.ts';
import type { Capability, Request } from '../plugins/contract/index.ts';

/** What the connections of a link ask a far sluice for, instead of what their own client asks. */
export interface Ask {
  readonly service: string;
  readonly request: Request;
  /** End what is left of our earlier sessions without a connection. */
  readonly takeOver: boolean;
}

/** A source and a sink, who may use it, and its limits. Immutable; the gateway opens it. */
export interface Link {
  readonly name: string;
  readonly source: Address;
  readonly sink: Address;
  /** Sinks of services besides the default one, by name. */
  readonly services: ReadonlyMap<string, Address>;
  /** Identities that may connect; `anyone` for all; empty: nobody from a network. */
  readonly allow: readonly string[];
  /** ms without a byte after the first end; 0 means no limit; where it is not given, serve.ts knows. */
  readonly idleAfterEnd: number | undefined;
  /** Only a session can carry it, so the sink must speak one. */
  readonly ask?: Ask;
  /** Stop listening after the first connection. */
  readonly once: boolean;
}

export const ANYONE = 'anyone';
export const DEFAULT_SERVICE = 'default';

/** The sink that answers a service; `undefined` where the link does not offer it. */
export const sinkFor = ({ sink, services }: Link, service: string): Address | undefined =>
  service === DEFAULT_SERVICE || sink.transport.services?.includes(service) ? sink : services.get(service);

export const servicesOf = ({ sink, services }: Link): string[] => [
  DEFAULT_SERVICE,
  ...(sink.transport.services ?? []),
  ...services.keys(),
];

/** A process has one standard input and output, for example: a link that uses them serves one connection. */
export const servesOnce = (source: Address, sink: Address): boolean =>
  source.transport.servesOnce === true || sink.transport.servesOnce === true;

/** A session carries all that a transport may lack. */
const has = ({ transport, session }: Address, capability: Capability): boolean =>
  session === 'always' || transport.capabilities.includes(capability);

/**
 * Sentences on what the pair cannot carry, for `sluice check` and the log: what each capability's absence means to the
 * bytes that go from `from` to `to`.
 */
export function explainLink(link: Link): string[] {
  const { source, sink } = link;
  const isOffered = source.session === 'offered' || sink.session === 'offered';
  const sentences = [...explainPair(link), ...caveatsOf(source), ...caveatsOf(sink)];
  return isOffered ? sentences.map((sentence) => `with a plain peer: ${sentence}`) : sentences;
}

function caveatsOf(address: Address): readonly string[] {
  const { role, scheme, session, transport } = address;
  if (session === 'always') return [];
  const via = role === 'sink' ? viaOf(address) : undefined;
  const cut = `${via} may close both directions of ${scheme} when one has ended`;
  return [...(transport.caveats ?? []), ...(via === undefined ? [] : [cut])];
}

/** What connections to the link's sinks go through, for `sluice check`. */
export const explainWay = ({ sink, services }: Link): string[] =>
  [sink, ...services.values()].flatMap((address) => {
    const via = viaOf(address);
    return via === undefined ? [] : [`${address.scheme} goes through ${via}`];
  });

function explainPair({ source, sink }: Link): string[] {
  const sentences: string[] = [];
  for (const [from, to] of [
    [source, sink],
    [sink, source],
  ] as const) {
    if (!has(from, 'proves-end')) {
      sentences.push(
        `an end that arrives over ${from.scheme} may be the death of the peer; ${to.scheme} gets it as an end`,
      );
    }
    if (has(from, 'half-close') && !has(to, 'half-close')) {
      sentences.push(`${to.scheme} cannot end one direction by itself: an end from ${from.scheme} closes it`);
    }
    if (!has(to, 'tells-cut')) {
      sentences.push(`a cut by ${from.scheme} is only a close on ${to.scheme}, which its peer may take for an end`);
    }
  }
  if (has(sink, 'exit-status') && !has(source, 'exit-status')) {
    sentences.push(
      `the exit status and standard error of ${sink.scheme} go to the log: ${source.scheme} cannot carry them`,
    );
  }
  return sentences;
}
