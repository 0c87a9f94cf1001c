/**
 * Memory that is used again by the whole process, in blocks of three sizes: what waits for a peer that does not read costs
 * about what it is long, and a busy gateway leaves nothing to the collector.
 */

/** Bytes. */
const SIZES = [16 * 1024, 64 * 1024, 256 * 1024] as const;
export const LARGEST_BLOCK = 256 * 1024;
/** Bytes of free blocks that are kept, of each size. */
const MOST_FREE = 4 * 1024 * 1024;

const free = new Map<number, Buffer[]>(SIZES.map((size) => [size, []]));

/** The smallest block that holds so many bytes, or the largest there is; it is the taker's until it is given back. */
export function takeBlock(bytes: number): Buffer {
  const size = SIZES.find((each) => each >= bytes) ?? LARGEST_BLOCK;
  return free.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size);
}

/** @param block nobody reads it any more; others than whole blocks are left to the collector */
export function giveBack(block: Buffer): void {
  const kept = free.get(block.length);
  if (kept !== undefined && kept.length * block.length < MOST_FREE) kept.push(block);
}
