/** Round trips of 64 bytes on one stream of a session, beside another that sends as fast as it can, over TLS on loopback. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { dialSession } from '../core/session/dialer.ts';
import { certificate } from './certificate.ts';
import type { Setting } from './cases.ts';
import { Stage } from './stage.ts';

export interface Beside {
  /** µs. */
  readonly p50: number;
  readonly p99: number;
  /** MB/s of the bulk stream meanwhile. */
  readonly rate: number;
}

const CHUNK = Buffer.alloc(64 * 1024);
/** Before they count: Node compiles what is used much. */
const WARM_UP = 500;

/** Writes until told to stop; counts bytes. */
async function pour(stream: Duplex, state: { bytes: number; isOver: boolean }): Promise<void> {
  while (!state.isOver) {
    state.bytes += CHUNK.length;
    if (!stream.write(CHUNK)) await once(stream, 'drain');
    else if (state.bytes % (64 * CHUNK.length) === 0) await new Promise(setImmediate);
  }
}

async function ping(stream: Duplex): Promise<number> {
  const start = performance.now();
  stream.write(CHUNK.subarray(0, 64));
  for (let got = 0; got < 64;) {
    const chunk = stream.read() as Buffer | null;
    if (chunk === null) await once(stream, 'readable');
    else got += chunk.length;
  }
  return (performance.now() - start) * 1000;
}

const quantile = (sorted: readonly number[], q: number): number => sorted[Math.floor(sorted.length * q)] ?? NaN;

async function measure(port: string, ca: string, count: number): Promise<Beside> {
  const dial = async () => {
    const socket = connect({ port: Number(port), host: '127.0.0.1', ca: readFileSync(ca) });
    await once(socket, 'secureConnect');
    return { stream: socket.setNoDelay(true), peer: { address: 'bench' } };
  };
  const { session, ended } = await dialSession({ dial, detachedLife: 0 }, new AbortController().signal);
  const { stream: bulk } = session.open({ service: 'count', metadata: {} });
  const { stream: echo } = session.open({ service: 'echo', metadata: {} });
  const state = { bytes: 0, isOver: false };
  const pouring = pour(bulk, state);
  const times: number[] = [];
  for (let n = 0; n < WARM_UP; n += 1) await ping(echo);
  const [start, before] = [performance.now(), state.bytes];
  for (let n = 0; n < count; n += 1) times.push(await ping(echo));
  const rate = (state.bytes - before) / 1e3 / (performance.now() - start);
  state.isOver = true;
  await pouring;
  session.end(new Error('measured'));
  await ended;
  const sorted = times.toSorted((a, b) => a - b);
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), rate };
}

/** One figure a round, each with a far end of its own. */
export async function besideBulk({ rounds, roundTrips, progress, stop }: Setting): Promise<readonly Beside[]> {
  const figures: Beside[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    progress(`round ${round} of ${rounds}: round trips beside a bulk stream`);
    await using stage = new Stage(stop);
    const { cert, key } = await certificate(stage);
    const [port] = await stage
      .start(process.execPath, [join(import.meta.dirname, 'beside-far.ts'), cert, key])
      .until(/^\d+$/m);
    figures.push(await measure(port, cert, roundTrips / 10));
  }
  return figures;
}
