import leven from 'leven';

const sorted = (text: string): string => text.split('').toSorted().join('');

/** Letters out of order are the commonest slip, and Levenshtein counts each swap as two. */
const distanceOf = (got: string, candidate: string): number =>
  got !== candidate && sorted(got) === sorted(candidate) ? 1 : leven(got, candidate);

/** `; did you mean "x"?` for the candidate that is a typing mistake away, or nothing. The only import of leven. */
export function didYouMean(got: string, candidates: Iterable<string>): string {
  let best: string | undefined;
  let distance = Math.max(1, Math.floor(got.length / 3)) + 1;
  for (const candidate of candidates) {
    const d = distanceOf(got, candidate);
    if (d < distance) [best, distance] = [candidate, d];
  }
  return best === undefined ? '' : `; did you mean "${best}"?`;
}
