/**
 * TLS connections: what was agreed on, how one is cut, and dialing with verification and pins (serving: tls-serve.ts).
 * Loaded when an address needs it: `node:tls` alone takes as long to load as all the rest of us.
 */
import { connect as connectTls, type TLSSocket, type TlsOptions } from 'node:tls';
import type { ListenContext, Protocol } from '../plugins/contract/index.ts';
import type { CarrierContext, TcpTarget } from './connecting.ts';
import { selfSigned } from './self-signed.ts';
import { dialTcp } from './tcp-dial.ts';
import { clientOptions, explainTlsError, readKeyPair, serverCredentials, type KeyPair } from './tls-credentials.ts';
import { secured } from './tls-handshake.ts';
import type { TlsNames } from './tls-options.ts';
import type { ServerCredentials, TlsServer } from './tls-serve.ts';
import { RawSide, refuseTruncation } from './tls-truncation.ts';

/** The certificate of a source: the one it names, or our own with the pin that clients need. */
async function sourceKeyPair(names: TlsNames, state: () => string): Promise<KeyPair & { pin?: string }> {
  if (names.cert === 'self') return selfSigned(state());
  if (names.cert === undefined || names.key === undefined) throw new Error('a source needs "cert" and "key"');
  return readKeyPair(names.cert, names.key);
}

/** What the files of a source come to, with the pin of a certificate that we made. */
export async function readSource(
  names: TlsNames,
  { folders, proofs }: Pick<ListenContext, 'folders' | 'proofs'>,
): Promise<{ credentials: ServerCredentials; pin: string | undefined }> {
  const { pin, ...pair } = await sourceKeyPair(names, () => folders.state);
  return { credentials: await serverCredentials(names, pair, proofs()), pin };
}

/** `renew` of a listener: puts new credentials into effect where they are new. */
export const renewal =
  (names: TlsNames, context: Pick<ListenContext, 'folders' | 'proofs' | 'log'>, server: TlsServer) =>
  async (): Promise<() => void> => {
    const { credentials } = await readSource(names, context);
    return () => {
      if (server.renew(credentials)) context.log.info('certificates renewed');
    };
  };

/** A cut: the TCP connection is reset, and no close_notify is sent. */
export const cut = (socket: TLSSocket, abort: () => void) => (): void => {
  abort();
  socket.destroy();
};

const SESSION_ALPN = 'sluice/1';

/** What was agreed on by ALPN, as a field of a connection. */
export const agreed = (socket: TLSSocket): { protocol?: 'session' } =>
  socket.alpnProtocol === SESSION_ALPN ? { protocol: 'session' } : {};

/**
 * A plain peer may offer protocols too (curl: h2, http/1.1), and TLS wants one of them chosen or the connection refused.
 * http/1.1 is what one speaks who was chosen nothing.
 */
export const alpnFor = (protocols: readonly Protocol[]): TlsOptions =>
  protocols.includes('session')
    ? {
        ALPNCallback: ({ protocols: offered }) =>
          [SESSION_ALPN, 'http/1.1'].find((name) => offered.includes(name)) ?? offered[0],
      }
    : {};

export interface TlsDialAddress extends TlsNames, TcpTarget {
  readonly truncationIsEnd: boolean;
}

/** Connects, verifies and pins: a socket on which no byte has passed yet. Also what `wss` runs on. */
export async function dialTls(
  address: TlsDialAddress,
  context: CarrierContext,
  protocols: readonly Protocol[] = [],
): Promise<{ socket: TLSSocket; abort: () => void }> {
  const options = await clientOptions(address, address.host);
  const { socket: raw, abort } = await dialTcp(address, context);
  const under = address.truncationIsEnd ? raw : new RawSide(raw);
  const offer = protocols.includes('session') ? { ALPNProtocols: [SESSION_ALPN, 'http/1.1'] } : {};
  const socket = connectTls({ ...options, ...offer, socket: under });
  if (under instanceof RawSide) socket.once('secureConnect', () => refuseTruncation(socket, under)); // before any byte
  await secured(socket, raw, address, explainTlsError);
  return { socket, abort: cut(socket, abort) };
}
