/** TLS to a proxy: what it hides is the target's name and the credentials; the target's own TLS runs inside of it. */
import type { Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { clientOptions, explainTlsError, readAuthorities } from './tls-credentials.ts';
import { secured } from './tls-handshake.ts';

/** The remedies of a target are not those of a proxy. */
function explain(error: unknown): Error {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (code.includes('ALTNAME')) return error as Error;
  return /SELF_SIGNED|UNABLE_TO|CERT_|UNTRUSTED/.test(code)
    ? new Error(`${message} (it is not verified; give its authority as "proxy-ca")`, { cause: error })
    : explainTlsError(error);
}

/** Verifies the proxy by its chain and name. TLS 1.2 will do: many proxies of companies know no other. */
export async function secureProxy(raw: Socket, host: string, proxyCa: string | undefined): Promise<TLSSocket> {
  try {
    const names = { cert: undefined, key: undefined, ca: undefined, pin: [], servername: undefined };
    const ca = proxyCa === undefined ? {} : { ca: await readAuthorities(proxyCa, 'proxy-ca') };
    const options = await clientOptions(names, host);
    const socket = connect({ ...options, ...ca, minVersion: 'TLSv1.2', socket: raw });
    await secured(socket, raw, names, explain);
    return socket;
  } catch (error) {
    raw.destroy();
    throw error;
  }
}
