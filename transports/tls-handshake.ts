/** The client's side of a TLS handshake, with a server or with a proxy before it. Loaded when an address needs it. */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { checkPins } from './tls-credentials.ts';
import type { TlsNames } from './tls-options.ts';

/**
 * Waits for the handshake, and checks the pins before any byte. Frees everything if either fails.
 *
 * @param explain adds the remedy to what OpenSSL and Node say
 */
export async function secured(
  socket: TLSSocket,
  raw: Socket,
  names: Pick<TlsNames, 'pin'>,
  explain: (error: unknown) => Error,
): Promise<void> {
  const done = Promise.withResolvers<void>();
  socket.on('error', done.reject);
  socket.once('close', () => done.reject(new Error('closed during the handshake')));
  socket.once('secureConnect', () => {
    try {
      checkPins(names, socket);
      done.resolve();
    } catch (error) {
      done.reject(error);
    }
  });
  raw.on('error', done.reject);
  try {
    await done.promise;
  } catch (error) {
    socket.destroy();
    raw.destroy();
    throw explain(error);
  }
}
