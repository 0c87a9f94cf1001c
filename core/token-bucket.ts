/** So much a second, and more at once after a silence. */
export interface BucketSize {
  readonly perSecond: number;
  /** The most at once. */
  readonly burst: number;
}

/** Takes from a full bucket, or tells that there is not so much in it. */
export function tokenBucket({ perSecond, burst }: BucketSize): (amount: number) => boolean {
  let left = burst;
  let filled = performance.now();
  return (amount) => {
    const now = performance.now();
    left = Math.min(burst, left + ((now - filled) / 1000) * perSecond);
    filled = now;
    if (left < amount) return false;
    left -= amount;
    return true;
  };
}
