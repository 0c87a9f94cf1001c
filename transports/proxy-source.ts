/** What a trusted proxy tells at the beginning of a connection is read from it, and not a byte more. */
import type { Socket } from 'node:net';
import { FIRST_BYTES, LONGEST_LINE, bodyLength, isVersion1, isVersion2, readBody, readLine } from './proxy-header.ts';

/** ms. A proxy sends it with the connection. */
const DEADLINE = 5_000;

function readExactly(socket: Socket, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const bytes = count === 0 ? Buffer.alloc(0) : (socket.read(count) as Buffer | null);
      if (bytes === null) return;
      stop();
      if (bytes.length === count) resolve(bytes);
      else reject(new Error('it ended within its PROXY header'));
    };
    const gone = (): void => {
      stop();
      reject(new Error('it closed within its PROXY header'));
    };
    const stop = (): void => {
      socket.off('readable', look);
      socket.off('close', gone);
      socket.off('end', gone);
    };
    socket.on('readable', look);
    socket.once('close', gone);
    socket.once('end', gone);
    look();
  });
}

async function read(socket: Socket): Promise<string | undefined> {
  const first = await readExactly(socket, FIRST_BYTES);
  if (isVersion2(first)) {
    const head = Buffer.concat([first, await readExactly(socket, 4)]);
    return readBody(head, await readExactly(socket, bodyLength(head)));
  }
  if (!isVersion1(first)) throw new Error('it is a trusted proxy, and does not speak the PROXY protocol');
  let line = first.toString('latin1');
  while (!line.endsWith('\n') && line.length < LONGEST_LINE) line += (await readExactly(socket, 1)).toString('latin1');
  return readLine(line);
}

/** Where a connection comes from by its proxy's word; `undefined` where that speaks for itself. @throws Error for no word, or none in time */
export async function readSourceOf(socket: Socket): Promise<string | undefined> {
  const timer = setTimeout(() => socket.destroy(), DEADLINE);
  try {
    return await read(socket);
  } finally {
    clearTimeout(timer);
  }
}
