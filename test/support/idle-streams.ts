/**
 * A process of its own that measures what an idle stream costs on one side of a session, and prints the bytes:
 * `node --expose-gc idle-streams.ts dialer|listener`. The other side is a script of bytes, so that it costs nothing here.
 */
import { duplexPair } from 'node:stream';
import { FrameReader } from '../../core/session/frame-reader.ts';
import { FRAME, HEADER_BYTES, encodeFrame, isCounted, u64 } from '../../core/session/frames.ts';
import { Session } from '../../core/session/session.ts';
import type { SessionStream } from '../../core/session/stream.ts';

const COUNT = 1_000;

const streams: SessionStream[] = [];
const side = process.argv[2] === 'listener' ? 'listener' : 'dialer';
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** As a relay does: it listens to the stream and to what is said beside it. */
function use(stream: SessionStream): void {
  stream.on('data', () => {});
  if (side === 'dialer') stream.diagnostics.on('data', () => {});
  else stream.sendDiagnostics().on('error', () => {});
  streams.push(stream);
}

const session = new Session({
  side,
  onOpen: (_request, { accept }) => use(accept({ exit: true })),
  onProgress: () => {},
  onDetached: () => {},
  onEnded: () => {},
});
const [near, far] = duplexPair();
session.attach(near, 0);
const reader = new FrameReader();
let counted = 0;
far.on('data', (chunk: Buffer) => {
  reader.feed(chunk);
  for (let frame = reader.next(); frame !== undefined; frame = reader.next())
    if (isCounted(frame.type)) counted += HEADER_BYTES + frame.payload.length;
});

async function open(from: number, to: number): Promise<void> {
  const request = { service: 'default', metadata: {} };
  for (let count = from; count < to; count += 1) {
    const id = 2 * count + 1;
    if (side === 'dialer') use(session.open(request).stream);
    const type = side === 'dialer' ? FRAME.OPENED : FRAME.OPEN;
    far.write(encodeFrame(type, id, Buffer.from(JSON.stringify(side === 'dialer' ? { exit: true } : request))));
    if (count % 20 === 0) await turn();
  }
  await turn();
  far.write(encodeFrame(FRAME.ACK, 0, u64(counted)));
  await turn();
}

/** The least of several: what cannot be collected. */
async function used(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 8; round += 1) {
    globalThis.gc?.();
    await turn();
    const { heapUsed, external } = process.memoryUsage();
    least = Math.min(least, heapUsed + external);
  }
  return least;
}

await open(0, 100); // what is made once
const before = await used();
await open(100, 100 + COUNT);
console.log(Math.round(((await used()) - before) / COUNT));
process.exit(streams.length === 100 + COUNT && session.streams === streams.length ? 0 : 1);
