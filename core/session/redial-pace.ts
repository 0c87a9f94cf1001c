/** When to dial again. Pure. */
const FIRST_DELAY = 250;
const LONGEST_DELAY_AT_FIRST = 1_000;
const LONGEST_DELAY = 30_000;
const AT_FIRST = 60_000;

/**
 * ms until the attempt after `failures` others: at once, then 0.25 s doubling, at most 1 s in the first minute of an
 * outage and 30 s later. Full jitter: many clients of one gateway must not come back together.
 *
 * @param failures attempts since the peer last acknowledged a byte; one that resumed and brought nothing counts
 */
export function redialDelay(failures: number, outage: number, random: () => number = Math.random): number {
  if (failures === 0) return 0;
  const longest = outage < AT_FIRST ? LONGEST_DELAY_AT_FIRST : LONGEST_DELAY;
  return random() * Math.min(longest, FIRST_DELAY * 2 ** (failures - 1));
}
