/**
 * The links of a configuration while it changes. A reload, in order:
 *
 * 1. Everything new is built: sources are opened, certificates of those that stay are read. If any of it fails, what was
 *    opened is closed again, and nothing has changed.
 * 2. Then it is put into effect: sources that are gone stop listening, links that stay get their new rules and sinks.
 * 3. Connections and sessions, also those without a connection, of whoever is not allowed any more are cut; links that
 *    stay keep all others. A link that is gone takes its connections with it.
 *
 * A source that changes on its own place (the same port with other options) must be closed before it is opened anew; its
 * connections live on.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Address } from './address.ts';
import { SluiceError } from './errors.ts';
import type { Gateway } from './gateway.ts';
import type { Identities } from './identities.ts';
import type { Link } from './link.ts';
import type { OpenLink } from './open-link.ts';

/** All of an address that decides how it is listened on; the transport itself may be another object after a reload. */
const shapeOf = ({ scheme, parsed, session, detachedLife, heartbeat }: Address): unknown => [
  scheme,
  parsed,
  session,
  detachedLife,
  heartbeat,
];

const placeOf = ({ source }: Link): string => source.transport.occupies?.(source.parsed) ?? source.text;

/** What a reload does to each link. */
interface Changes {
  readonly stay: readonly (readonly [OpenLink, Link])[];
  readonly gone: readonly OpenLink[];
  /** Listens elsewhere, or otherwise: the old one, and what it becomes. */
  readonly moved: readonly (readonly [OpenLink, Link])[];
  readonly added: readonly Link[];
}

export class ConfiguredLinks {
  readonly #gateway: Gateway;
  readonly #open = new Map<string, OpenLink>();
  #applying: Promise<unknown> = Promise.resolve();

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
  }

  /** @throws SluiceError if one cannot be opened; those before it are open */
  async start(links: readonly Link[]): Promise<void> {
    for (const link of links) this.#open.set(link.name, await this.#gateway.open(link));
  }

  /** Resolves when no link is left; with why the source of one has ended without having been asked to. */
  async over(): Promise<SluiceError | undefined> {
    for (;;) {
      const before = [...this.#open.values()];
      await Promise.all(before.map(({ done }) => done));
      await this.#applying.catch(() => {}); // a source may be closed to be opened anew
      const now = [...this.#open.values()];
      if (now.every((link) => before.includes(link))) return now.find(({ failure }) => failure !== undefined)?.failure;
    }
  }

  /** @throws SluiceError; then nothing has changed */
  apply(links: readonly Link[], identities: Identities): Promise<void> {
    const applying = this.#apply(links, identities);
    this.#applying = applying;
    return applying;
  }

  async #apply(links: readonly Link[], identities: Identities): Promise<void> {
    const changes = this.#compare(links);
    const before = new Map([...changes.stay, ...changes.moved].map(([open]) => [open, open.link]));
    const undo = this.#know(changes, before, identities);
    try {
      const commit = await this.#gateway.renew(changes.stay.map(([open]) => open));
      const opened = await this.#openAll(changes, before);
      commit();
      for (const open of opened) this.#open.set(open.link.name, open);
    } catch (error) {
      undo();
      throw error;
    }
    for (const open of changes.gone) this.#remove(open);
    await this.#gateway.review();
  }

  #compare(links: readonly Link[]): Changes {
    const names = new Set(links.map(({ name }) => name));
    const known = links.flatMap((link) => {
      const open = this.#open.get(link.name);
      return open === undefined ? [] : [[open, link] as const];
    });
    return {
      stay: known.filter(isSame),
      moved: known.filter((one) => !isSame(one)),
      gone: [...this.#open.values()].filter(({ link }) => !names.has(link.name)),
      added: links.filter(({ name }) => !this.#open.has(name)),
    };
  }

  /** The new rules hold at once, so that what is opened is asked for by them. @returns how to take that back */
  #know({ stay, moved }: Changes, links: ReadonlyMap<OpenLink, Link>, identities: Identities): () => void {
    const before = this.#gateway.identities;
    this.#gateway.know(identities);
    for (const [open, link] of [...stay, ...moved]) open.update(link);
    return () => {
      this.#gateway.know(before);
      for (const [open, link] of links) open.update(link);
    };
  }

  /** @throws SluiceError; then what was opened is closed again, and what had to be closed for it is open again */
  async #openAll({ moved, gone, added }: Changes, before: ReadonlyMap<OpenLink, Link>): Promise<OpenLink[]> {
    const leaving = new Map([...gone, ...moved.map(([open]) => open)].map((open) => [placeOf(open.opened), open]));
    const closed: OpenLink[] = [];
    const opened: OpenLink[] = [];
    try {
      for (const link of [...added, ...moved.map(([, one]) => one)]) {
        const blocking = leaving.get(placeOf(link));
        if (blocking !== undefined) closed.push(await stopListening(blocking));
        opened.push(
          await this.#gateway.open(link).catch((error: unknown) => this.#afterOld(link, moved, closed, error)),
        );
      }
    } catch (error) {
      for (const open of opened) await stopListening(open);
      for (const open of closed.filter(({ failure }) => failure === undefined))
        this.#open.set(open.opened.name, await this.#gateway.open(before.get(open) ?? open.link));
      throw error;
    }
    for (const [open] of moved) open.stopListening();
    return opened;
  }

  /** 0.0.0.0 and 127.0.0.1 are two places and one port: the old source may be in the way of what it becomes. */
  async #afterOld(link: Link, moved: Changes['moved'], closed: OpenLink[], error: unknown): Promise<OpenLink> {
    const [old] = moved.find(([, one]) => one === link) ?? [];
    if (old === undefined || closed.includes(old)) throw error;
    closed.push(await stopListening(old));
    return this.#gateway.open(link);
  }

  #remove(open: OpenLink): void {
    this.#open.delete(open.link.name);
    open.stopListening();
    open.cut(new SluiceError('SLUICE_STOPPED', 'its link was taken out of the configuration'));
  }
}

/** A source that has failed is not: it is opened anew. */
const isSame = ([open, link]: readonly [OpenLink, Link]): boolean =>
  open.failure === undefined && isDeepStrictEqual(shapeOf(open.opened.source), shapeOf(link.source));

async function stopListening(open: OpenLink): Promise<OpenLink> {
  open.stopListening();
  await open.listener.closed.catch(() => {}); // the link itself tells
  return open;
}
