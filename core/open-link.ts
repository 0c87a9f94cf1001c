/**
 * A link that listens: its source is bound and judged, and every connection that it accepts is served (serve.ts).
 * One failure concerns one connection. Made by `openLink`; freed when `done` resolves.
 */
import { once } from 'node:events';
import { assertAccess, authorize } from './access.ts';
import type { Admission } from './admission/admission.ts';
import type { Turn } from './admission/commands.ts';
import type { Address } from './address.ts';
import { openDoor, type Door, type DoorHost } from './door.ts';
import { untilClosed } from './source-end.ts';
import { SluiceError } from './errors.ts';
import { LIMITS } from './limits.ts';
import type { Identities } from './identities.ts';
import { explainRule, proofsWanted } from './proofs.ts';
import { DEFAULT_SERVICE, explainLink, servicesOf, sinkFor, type Link } from './link.ts';
import type { CoreLog } from './log.ts';
import type { Outcome } from './relay.ts';
import { serve, type ServeContext, type Served } from './serve.ts';
import type { OpenRequest } from './session/session.ts';
import type { Identity, Inbound, Listener, Proof } from '../plugins/contract/index.ts';

/** What the links of one gateway share. */
export interface LinkContext extends ServeContext {
  /** Who is known now. */
  identities(): Identities;
  readonly admission: Admission;
  /** Every connection of the gateway that runs now. */
  readonly running: Set<Served>;
  /** A number for a new connection. */
  number(): number;
}

export class OpenLink {
  /** As it was opened. */
  readonly opened: Link;
  readonly listener: Listener;
  /** Resolves when the source has closed and the last connection is over; with that connection's outcome. */
  readonly done: Promise<Outcome | undefined>;
  readonly #stop: AbortController;
  readonly #intake: Intake;
  readonly #door: Door;
  #failure: SluiceError | undefined;

  constructor(intake: Intake, door: Door, listener: Listener, stop: AbortController) {
    this.opened = intake.link;
    this.listener = listener;
    this.done = this.#untilOver(door, intake, stop.signal);
    this.#intake = intake;
    this.#door = door;
    this.#stop = stop;
  }

  /** As it is now. */
  get link(): Link {
    return this.#intake.link;
  }

  /** Why its source has ended without having been asked to. */
  get failure(): SluiceError | undefined {
    return this.#failure;
  }

  /** For connections from now on: another sink, other rules. The source stays. */
  update(link: Link): void {
    this.#intake.link = link;
  }

  /** Cuts whoever would not be let in any more. */
  async review(): Promise<void> {
    this.#intake.review();
    await this.#door.review();
  }

  /** Cuts everybody. */
  cut(reason: SluiceError): void {
    this.#intake.cut(reason);
    void this.#door.end(reason);
  }

  stopListening(): void {
    this.#stop.abort();
  }

  /** A source that serves once closes by itself: its one session goes on. So do those of a source that has failed. */
  async #untilOver(door: Door, intake: Intake, stopped: AbortSignal): Promise<Outcome | undefined> {
    this.#failure = await untilClosed(intake, this.listener, stopped);
    if (!stopped.aborted) await Promise.race([once(stopped, 'abort'), door.over()]);
    await door.drain();
    const last = await intake.over();
    await door.end(new SluiceError('SLUICE_STOPPED', 'the gateway was stopped'));
    return last;
  }
}

/** Takes connections for a link from the moment it has been judged, and remembers them until they are over. */
class Intake implements DoorHost {
  readonly title: string;
  readonly source: Address;
  readonly log: CoreLog;
  readonly idleSession = LIMITS.idleSession;
  /** As it is now: a reload may change it. */
  link: Link;
  readonly #context: LinkContext;
  readonly #stop: AbortController;
  readonly #pending = new Set<Promise<void>>();
  /** What runs, with what it is for. */
  readonly #serving = new Map<Served, { inbound: Inbound; service: string }>();
  #last: Outcome | undefined;

  constructor(link: Link, context: LinkContext, log: CoreLog, stop: AbortController) {
    this.title = `link "${link.name}"`;
    this.source = link.source;
    this.log = log;
    this.link = link;
    this.#context = context;
    this.#stop = stop;
  }

  get allow(): readonly string[] {
    return this.link.allow;
  }

  proofs(): readonly Proof[] {
    return proofsWanted(this.link, (name) => this.#context.identities().proofsOf(name));
  }

  may(identity: Identity | undefined): boolean {
    return authorize(identity, this.link, DEFAULT_SERVICE);
  }

  take(inbound: Inbound): void {
    this.#take(inbound, this.link.sink, DEFAULT_SERVICE);
  }

  open(inbound: Inbound, { service }: OpenRequest): void {
    const sink = sinkFor(this.link, service);
    if (sink === undefined || !authorize(inbound.identity, this.link, service)) throw this.#unknown(inbound, service);
    this.#take(inbound, sink, service);
  }

  #unknown({ peer }: Inbound, service: string): SluiceError {
    this.log.warn('stream refused', { peer: peer.address, service });
    const known = servicesOf(this.link).join(', ');
    return new SluiceError('SLUICE_DENIED', `there is no service "${service}"; this link offers: ${known}`);
  }

  /** @throws SluiceError SLUICE_BUSY */
  #take(inbound: Inbound, sink: Address, service: string): void {
    const isCommand = sink.transport.account !== undefined;
    const turn = this.#context.admission.enter(inbound.identity, isCommand, inbound.peer.address);
    if (this.link.once) this.#stop.abort();
    const over = this.#serve(inbound, sink, service, turn).finally(() => {
      turn.leave();
      this.#pending.delete(over);
    });
    this.#pending.add(over);
  }

  /** Sessions are looked at by themselves, with all their streams: here it is whether the link still lets them. */
  review(): void {
    const identities = this.#context.identities();
    for (const [served, { inbound, service }] of this.#serving) {
      const { identity, delivered } = inbound;
      const isStill = delivered !== undefined || identity === undefined || identities.isStill(identity);
      if (isStill && authorize(identity, this.link, service)) continue;
      served.abort(new SluiceError('SLUICE_DENIED', `${identity?.name ?? 'whoever it is'} is not allowed any more`));
    }
  }

  cut(reason: SluiceError): void {
    for (const served of this.#serving.keys()) served.abort(reason);
  }

  /** Resolves with the last outcome when no connection is left. */
  async over(): Promise<Outcome | undefined> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    return this.#last;
  }

  refusal(): SluiceError | undefined {
    if (!this.#stop.signal.aborted) return undefined;
    return new SluiceError('SLUICE_STOPPED', 'the source does not take connections now');
  }

  async #serve(inbound: Inbound, sink: Address, service: string, turn: Turn): Promise<void> {
    const { running, number } = this.#context;
    const { peer, identity } = inbound;
    const log = this.log.child({
      connection: number(),
      peer: peer.address,
      ...(identity && { identity: identity.name }),
    });
    const served = serve(this.link, sink, inbound, { ...this.#context, log, turn });
    running.add(served);
    this.#serving.set(served, { inbound, service });
    this.#last = await served.outcome;
    running.delete(served);
    this.#serving.delete(served);
  }
}

function caution({ sink, services, allow }: Link, log: CoreLog): void {
  for (const { transport, parsed } of [sink, ...services.values()]) {
    const sentence = transport.caution?.(parsed, allow);
    if (sentence !== undefined) log.warn(sentence);
  }
}

/** @throws SluiceError SLUICE_LISTEN, SLUICE_ACCESS; then nothing of the link is left. */
export async function openLink(link: Link, context: LinkContext): Promise<OpenLink> {
  assertAccess(link, (name) => context.identities().proofsOf(name));
  const log = context.log.child({ link: link.name });
  const stop = new AbortController();
  const intake = new Intake(link, context, log, stop);
  const { door, listener } = await openDoor(intake, context, stop);
  caution(link, log);
  if (link.source.transport.servesOnce) return new OpenLink(intake, door, listener, stop); // nobody waits there
  log.info('listening', {
    source: listener.address,
    sink: link.sink.text,
    allow: explainRule(link, (name) => context.identities().proofsOf(name)),
    ...(listener.dial && { dial: listener.dial }),
  });
  for (const sentence of explainLink(link)) log.debug('cannot carry', { what: sentence });
  return new OpenLink(intake, door, listener, stop);
}
