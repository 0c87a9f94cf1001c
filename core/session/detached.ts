/**
 * How much sessions without a carrier may hold together. The newest go first: whoever has waited longest, and lost its
 * connection before the trouble began, is the one that must be let back in.
 */
export interface Detached {
  /** Memory that it takes. */
  readonly held: number;
  readonly since: number;
}

export interface DetachedLimits {
  readonly count: number;
  readonly bytes: number;
}

/** Those that are too many. Pure. */
export function tooMany<T extends Detached>(detached: readonly T[], { count, bytes }: DetachedLimits): T[] {
  let [number, sum] = [0, 0];
  const oldestFirst = detached.toSorted((a, b) => a.since - b.since);
  return oldestFirst.filter(({ held }) => {
    number += 1;
    sum += held;
    const fits = number <= count && sum <= bytes;
    if (!fits) [number, sum] = [number - 1, sum - held];
    return !fits;
  });
}
