/**
 * The dialing side of a tunnel: keeps one session up, whatever happens to it.
 *
 * What happens, in order:
 * 1. The addresses are tried in their order, until one answers with a session.
 * 2. A carrier that is lost is redialed by the session itself (session/dialer.ts): its streams notice nothing.
 * 3. A session that is over, because the far side was restarted or was away for too long, is begun anew, at the pace of
 *    redial-pace.ts: soon in the first minute, seldom later.
 * 4. While the session is with a later address, the earlier ones are tried now and then; while it has no connection, all
 *    the others are (replacement.ts). When one answers, it gets the new streams; the old session carries what it carries
 *    to its end. Streams are not moved: nobody can know whether both addresses lead to one gateway.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { viaOf, type Address } from '../address.ts';
import { SluiceError, reasonOf, wrap } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { CoreLog } from '../log.ts';
import type { DialedSession } from '../session/dialer.ts';
import { redialDelay } from '../session/redial-pace.ts';
import type { OpenAnswer, OpenRequest } from '../session/session.ts';
import { answerOpen, beginSession, protocolsOf, tokenFor } from '../sessions.ts';
import { readSecretAt, readToken, type TokenReference } from '../token.ts';
import type { Folders, Identity, Peer } from '../../plugins/contract/index.ts';
import { rememberOrigin } from './origins.ts';
import { untilGone, untilOther, type Dialed } from './replacement.ts';
import type { FarEnd, Tunnel } from './tunnel.ts';

/** A tunnel that this side dials. */
export interface DialingPlan {
  readonly tunnel: Tunnel;
  /** The best first. */
  readonly addresses: readonly Address[];
  /** Who the far side counts as: the server at these addresses. */
  readonly identity: Identity | undefined;
  /** It belongs to a configuration: a far side that is not there yet is waited for; otherwise the first failure is told. */
  readonly isKept: boolean;
  /** End what an earlier process of ours has left behind there without a connection. */
  readonly takeOver: boolean;
  /** ms, on average, between looks whether a better address answers again. */
  readonly betterAddress?: number;
}

export interface DialingContext {
  readonly log: CoreLog;
  readonly folders: Folders;
  /** Where the token is that is shown where an address names none. */
  readonly token: TokenReference | undefined;
  /** Whether a session is one of our own entrances'. */
  readonly isOwn: (id: string) => boolean;
}

/** Nothing that soon changes: it is tried again seldom. */
class OwnGatewayError extends Error {}

/** A session that lived for less has changed nothing: the next attempt waits as if it had failed. */
const PROVED_LIFE = 5_000;

export class DialedTunnel {
  /** Resolves when it was stopped, and its sessions are over. */
  readonly done: Promise<void>;
  /** Resolves with the first session; rejects if it fails, unless the tunnel is kept. */
  readonly up: Promise<void>;
  readonly #plan: DialingPlan;
  readonly #context: DialingContext;
  readonly #log: CoreLog;
  readonly #stop = new AbortController();
  readonly #live = new Set<DialedSession>();
  readonly #up = Promise.withResolvers<void>();
  #isFirst = true;
  #hasBeenUp = false;
  #isOwnGateway = false;
  #told = '';

  constructor(plan: DialingPlan, context: DialingContext) {
    this.#plan = plan;
    this.#context = context;
    this.#log = context.log.child({ tunnel: plan.tunnel.name });
    this.up = this.#up.promise;
    this.up.catch(() => {});
    this.done = this.#keepUp();
  }

  /** No new streams and no new sessions; `done` resolves when those that run are over. */
  stop(): void {
    this.#stop.abort(new SluiceError('SLUICE_STOPPED', 'the tunnel was stopped'));
    for (const { session } of this.#live) session.drain();
  }

  end(reason: Error): void {
    this.stop();
    for (const { session } of this.#live) session.end(reason);
  }

  async #keepUp(): Promise<void> {
    const { signal } = this.#stop;
    let failures = 0;
    let since = performance.now();
    while (!signal.aborted) {
      const began = performance.now();
      const dialed = await this.#tryAll().catch((error: unknown) => this.#tellFailure(error));
      if (dialed !== undefined) await this.#untilReplaced(dialed);
      const isProved = dialed !== undefined && performance.now() - began > PROVED_LIFE;
      [failures, since] = isProved ? [0, performance.now()] : [failures + 1, since];
      const delay = this.#isOwnGateway ? LIMITS.betterAddress : redialDelay(failures, performance.now() - since);
      await sleep(delay, undefined, { signal }).catch(() => {});
    }
    await Promise.all([...this.#live].map(({ session }) => session.closed));
  }

  /** @throws what each address failed with */
  async #tryAll(isMeant: (rank: number) => boolean = () => true, signal = this.#stop.signal): Promise<Dialed> {
    const failures: unknown[] = [];
    for (const [rank, address] of this.#plan.addresses.entries()) {
      if (!isMeant(rank)) continue;
      try {
        return { ...(await this.#begin(address, signal)), rank };
      } catch (error) {
        signal.throwIfAborted();
        failures.push(error);
      }
    }
    throw failures.length === 1 ? failures[0] : new AggregateError(failures);
  }

  async #begin(address: Address, signal: AbortSignal): Promise<DialedSession> {
    const { tunnel, takeOver } = this.#plan;
    const { log, folders, isOwn } = this.#context;
    const reference = tokenFor(address, this.#context.token);
    const context = {
      log,
      folders,
      link: tunnel.name,
      protocols: protocolsOf(address),
      peer: { address: `tunnel:${tunnel.name}` },
      ...(reference && { token: await readToken(reference) }),
      readSecret: readSecretAt,
      tell: (message: string, fields: Readonly<Record<string, unknown>>) => this.#log.warn(message, fields),
    };
    const opening = this.#opening({ address: address.text });
    const begin = { takeOver: takeOver && this.#isFirst, onOpen: opening.onOpen };
    const dialed = await beginSession(address, context, begin, signal);
    this.#isFirst = false;
    if (signal.aborted) {
      dialed.session.drain();
      signal.throwIfAborted();
    }
    if (isOwn(dialed.id)) {
      dialed.session.end(new Error('a tunnel to the gateway itself'));
      throw new OwnGatewayError(`${address.text} leads to this gateway itself; dial another one`);
    }
    this.#hasBeenUp = true;
    this.#up.resolve();
    this.#live.add(dialed);
    void dialed.session.closed.then(() => this.#live.delete(dialed));
    const via = viaOf(address);
    this.#log.info('tunnel up', { sink: address.text, ...(via !== undefined && { via }) });
    this.#told = '';
    tunnel.join(opening.begin(dialed));
    return dialed;
  }

  /** Streams that the far side opens. It may have waited for us: those that come with the handshake wait for the session. */
  #opening(peer: Peer) {
    const { tunnel, identity } = this.#plan;
    const early: (() => void)[] = [];
    let end: FarEnd | undefined;
    const accept = (request: OpenRequest, answer: OpenAnswer, from: FarEnd): void =>
      answerOpen(request, answer, { peer, ...(identity && { identity }) }, (inbound) => {
        rememberOrigin(inbound, { tunnel, end: from, metadata: request.metadata });
        tunnel.accept(inbound, request.service);
      });
    return {
      onOpen: (request: OpenRequest, answer: OpenAnswer): void => {
        const from = end;
        if (from === undefined) early.push(() => end && accept(request, answer, end));
        else accept(request, answer, from);
      },
      begin: ({ session, id }: DialedSession): FarEnd => {
        end = { session, id, isListening: false, peer: () => peer };
        for (const take of early) take();
        return end;
      },
    };
  }

  #tellFailure(error: unknown): undefined {
    if (this.#stop.signal.aborted) return undefined;
    if (!this.#hasBeenUp && !this.#plan.isKept) {
      this.#up.reject(wrap('SLUICE_DIAL', 'the far side of the tunnel', error));
      return this.stop() as undefined;
    }
    this.#isOwnGateway = error instanceof OwnGatewayError;
    const reason = reasonOf(error);
    this.#plan.tunnel.explain(reason);
    this.#log[reason === this.#told ? 'debug' : 'warn']('the far side cannot be reached, trying again', { reason });
    this.#told = reason;
    return undefined;
  }

  /** Resolves when the session is over, or another has taken its place. */
  async #untilReplaced(dialed: Dialed): Promise<void> {
    let current = dialed;
    for (;;) {
      const other = untilOther(
        current,
        this.#plan,
        (isMeant, signal) => this.#tryAll(isMeant, signal),
        this.#stop.signal,
      );
      const next = await Promise.race([untilGone(current), other.found]);
      other.stop();
      if ('reason' in next) {
        void other.found.then(({ session }) => session.drain()); // it came in the same moment
        if (!this.#stop.signal.aborted)
          this.#log.warn('tunnel down', { reason: next.reason?.message ?? 'the far side went away' });
        return;
      }
      current.session.drain();
      current = next;
    }
  }
}
