import type { Bench } from './bench.ts';

/** What every contract call is given by the suite: plain bytes, nothing to negotiate. */
export const protocolsFree = ({ log, folders }: Bench) => ({ log, folders, protocols: [] });
