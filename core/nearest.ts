import leven from 'leven';

/** `; did you mean "x"?` for the candidate that a typing mistake away, or nothing. The only import of leven. */
export function didYouMean(got: string, candidates: Iterable<string>): string {
  let best: string | undefined;
  let distance = Math.max(1, Math.floor(got.length / 3)) + 1;
  for (const candidate of candidates) {
    const d = leven(got, candidate);
    if (d < distance) [best, distance] = [candidate, d];
  }
  return best === undefined ? '' : `; did you mean "${best}"?`;
}
