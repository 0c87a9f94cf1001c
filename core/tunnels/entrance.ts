/**
 * The listening side of tunnels: a door whose sessions belong to tunnels. Several tunnels may share one address, and are
 * told apart by who comes in.
 */
import { allows } from '../access.ts';
import type { Address } from '../address.ts';
import { openDoor, type Door, type DoorContext, type DoorHost } from '../door.ts';
import { untilClosed } from '../source-end.ts';
import { SluiceError } from '../errors.ts';
import type { OpenTunnel } from '../gateway.ts';
import type { CoreLog } from '../log.ts';
import { explainRule, proofsWanted, type ProofsOf } from '../proofs.ts';
import type { OpenRequest, Session } from '../session/session.ts';
import type { Far } from '../session/listener.ts';
import type { Identity, Inbound, Proof } from '../../plugins/contract/index.ts';
import { rememberOrigin } from './origins.ts';
import type { FarEnd, Tunnel } from './tunnel.ts';

/** A tunnel that waits for its far side. */
export interface Waiting {
  readonly tunnel: Tunnel;
  /** Who its far side may be. */
  readonly allow: readonly string[];
}

/** What is listened on, and for which tunnels. */
export interface EntrancePlan {
  readonly source: Address;
  readonly waiting: readonly Waiting[];
}

class Entrance implements DoorHost {
  readonly source: Address;
  readonly log: CoreLog;
  #waiting: readonly Waiting[];
  readonly #proofsOf: ProofsOf;
  readonly #stop: AbortSignal;
  readonly #ends = new Map<Session, { end: FarEnd; tunnel: Tunnel; far: () => Far }>();

  constructor({ source, waiting }: EntrancePlan, proofsOf: ProofsOf, log: CoreLog, stop: AbortSignal) {
    this.source = source;
    this.log = log;
    this.#waiting = waiting;
    this.#proofsOf = proofsOf;
    this.#stop = stop;
  }

  get title(): string {
    return this.#waiting.map(({ tunnel }) => `tunnel "${tunnel.name}"`).join(', ');
  }

  get allow(): readonly string[] {
    return this.#waiting.flatMap(({ allow }) => allow);
  }

  /** A session whose far side would now come in elsewhere, or not at all, is over. */
  update(waiting: readonly Waiting[]): void {
    this.#waiting = waiting;
    for (const [session, { tunnel, far }] of this.#ends)
      if (this.#tunnelOf(far().identity) !== tunnel)
        session.end(new SluiceError('SLUICE_DENIED', `not allowed in tunnel "${tunnel.name}" any more`));
  }

  proofs(): readonly Proof[] {
    return proofsWanted(this, this.#proofsOf);
  }

  may(identity: Identity | undefined): boolean {
    return this.#tunnelOf(identity) !== undefined;
  }

  refusal(): SluiceError | undefined {
    if (!this.#stop.aborted) return undefined;
    return new SluiceError('SLUICE_STOPPED', 'the gateway is going away');
  }

  take(): void {
    throw new SluiceError('SLUICE_DENIED', 'only tunnels come in here');
  }

  began(session: Session, far: () => Far, id: string): void {
    const { identity } = far();
    const tunnel = this.#tunnelOf(identity);
    if (tunnel === undefined) return session.end(new Error('not allowed'));
    const end: FarEnd = { session, id, isListening: true, peer: () => far().peer };
    this.#ends.set(session, { end, tunnel, far });
    session.watch(() => {
      if (!session.isOver || !this.#ends.delete(session)) return;
      this.log.info('tunnel down', { tunnel: tunnel.name, peer: end.peer().address });
    });
    this.#tell(tunnel, end, identity);
    tunnel.join(end);
  }

  #tell(tunnel: Tunnel, { peer }: FarEnd, identity: Identity | undefined): void {
    const [before] = tunnel.ends;
    this.log.info(before === undefined ? 'tunnel up' : 'tunnel taken over by a newer connection', {
      tunnel: tunnel.name,
      peer: peer().address,
      ...(identity && { identity: identity.name }),
      ...(before && { before: before.peer().address }),
    });
  }

  open(inbound: Inbound, request: OpenRequest, session: Session): void {
    const known = this.#ends.get(session);
    if (known === undefined) throw new SluiceError('SLUICE_STOPPED', 'the tunnel is gone');
    const { tunnel, end } = known;
    if (this.#tunnelOf(inbound.identity) !== tunnel) throw new SluiceError('SLUICE_DENIED', 'not allowed any more');
    rememberOrigin(inbound, { tunnel, end, metadata: request.metadata });
    tunnel.accept(inbound, request.service);
  }

  #tunnelOf(identity: Identity | undefined): Tunnel | undefined {
    return this.#waiting.find(({ allow }) => allows(allow, identity))?.tunnel;
  }
}

/** @throws SluiceError SLUICE_LISTEN, SLUICE_ACCESS; then nothing is left */
export async function openEntrance(
  plan: EntrancePlan,
  context: DoorContext & { readonly log: CoreLog },
): Promise<OpenTunnel> {
  const stop = new AbortController();
  const log = context.log.child({ tunnel: plan.waiting.map(({ tunnel }) => tunnel.name).join(',') });
  const entrance = new Entrance(plan, (name) => context.identities().proofsOf(name), log, stop.signal);
  const { door, listener } = await openDoor(entrance, context, stop);
  const allow = explainRule(entrance, (name) => context.identities().proofsOf(name));
  log.info('listening', { source: listener.address, allow, ...(listener.dial && { dial: listener.dial }) });
  let failure: SluiceError | undefined;
  const closed = untilClosed(entrance, listener, stop.signal).then((reason) => (failure = reason));
  return {
    address: listener.address,
    done: closed.then(() => over(door, stop.signal)),
    get failure() {
      return failure;
    },
    stop: () => stop.abort(),
    listener,
    update: (waiting) => entrance.update(waiting),
    review: () => door.review(),
    end: (reason) => void door.end(reason),
  };
}

/** A source that serves once closes by itself: its one session goes on. So do those of a source that has failed. */
async function over(door: Door, stopped: AbortSignal): Promise<void> {
  const stop = stopped.aborted
    ? Promise.resolve()
    : new Promise((resolve) => stopped.addEventListener('abort', resolve));
  await Promise.race([stop, door.over()]);
  await door.drain();
  await door.over();
}
