/** When a session of a dialed tunnel is to be replaced: it takes nothing new any more, or another address is the better one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../limits.ts';
import type { DialedSession } from '../session/dialer.ts';
import type { Session } from '../session/session.ts';

/** A session, and which of the tunnel's addresses it is with: the best is 0. */
export interface Dialed extends DialedSession {
  readonly rank: number;
}

/** Resolves when a session takes no new streams any more: it is over, or its far side is going away. */
export const untilGone = ({ session, ended }: DialedSession): Promise<{ readonly reason: Error | undefined }> =>
  new Promise((resolve) => {
    void ended.then((reason) => resolve({ reason }));
    const look = (): void => {
      if (session.isDraining) resolve({ reason: undefined });
    };
    session.watch(look);
    look();
  });

/** Whether a session has been without a connection for so long that another way is looked for. */
function lostWatch(session: Session): () => boolean {
  let since: number | undefined;
  session.watch(() => {
    since = session.isAttached ? undefined : (since ?? performance.now());
  });
  return () => since !== undefined && performance.now() - since > LOST;
}

/** ms without a connection after which a later address is taken, and between looks whether it has come to that. */
const LOST = 2_000;
const LOOK = 1_000;

/** Begins a session at the first address that answers, of those that are meant. @throws what each failed with */
export type TryAll = (isMeant: (rank: number) => boolean, signal: AbortSignal) => Promise<Dialed>;

/**
 * A session at another address: a better one that answers again, or any while this one has no connection.
 *
 * @returns `found`, which never rejects; `stop` ends the search, and an attempt that is under way
 */
export function untilOther(
  { session, rank: own }: Dialed,
  { addresses, betterAddress = LIMITS.betterAddress }: { addresses: readonly unknown[]; betterAddress?: number },
  tryAll: TryAll,
  stopped: AbortSignal,
): { found: Promise<Dialed>; stop: () => void } {
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, stopped]);
  const never = new Promise<never>(() => {});
  const lookEach = async (delay: () => number, isMeant: (rank: number) => boolean): Promise<Dialed> => {
    for (;;) {
      await sleep(delay(), undefined, { signal });
      const dialed = await tryAll(isMeant, signal).catch(() => undefined);
      if (dialed !== undefined) return dialed;
    }
  };
  const isLost = lostWatch(session);
  const searches = [
    ...(own > 0
      ? [
          lookEach(
            () => betterAddress * (0.5 + Math.random()),
            (rank) => rank < own,
          ),
        ]
      : []),
    ...(addresses.length > 1
      ? [
          lookEach(
            () => LOOK,
            (rank) => rank !== own && isLost(),
          ),
        ]
      : []),
  ];
  const found = Promise.race([never, ...searches.map((search) => search.catch(() => never))]);
  return { found, stop: () => over.abort() };
}
