/**
 * Connections through a proxy: the proxy is connected to, by TLS where it wants that, and asked for the target; from then on
 * the socket is the target's. Loaded when an address or the environment names a proxy.
 */
import { connectSocket, reset, type Carrier, type CarrierContext, type TcpTarget } from './connecting.ts';
import { tune } from './listening.ts';
import { showProxy, type Credentials, type Proxy } from './proxy-options.ts';
import type { HostPort } from './host-port.ts';

/** Asks a connected proxy for a target. Resolves when the socket is the target's, with nothing read of what it says. */
export type Ask = (socket: Carrier['socket'], target: HostPort, credentials: Credentials | undefined) => Promise<void>;

const askBy: Readonly<Record<Proxy['scheme'], () => Promise<Ask>>> = {
  http: async () => (await import('./proxy-http.ts')).askByConnect,
  https: async () => (await import('./proxy-http.ts')).askByConnect,
  socks5: async () => (await import('./proxy-socks.ts')).askBySocks,
  socks5h: async () => (await import('./proxy-socks.ts')).askBySocksByName,
};

/** @throws Error that does not repeat the line */
async function readCredentials(reference: string, { readSecret }: CarrierContext): Promise<Credentials> {
  const [, user, password] = /^([^:]+):(.*)$/s.exec(await readSecret(reference)) ?? [];
  if (user === undefined || password === undefined)
    throw new Error(`${reference}: expected one line, USER:PASSWORD, for "proxy-auth"`);
  return { user, password };
}

async function connectToProxy(
  { scheme, host, port }: Proxy,
  { keepalive, proxyCa }: TcpTarget,
  { signal }: CarrierContext,
): Promise<Carrier> {
  const raw = tune(await connectSocket({ host, port }, signal), keepalive);
  if (scheme !== 'https') return { socket: raw, abort: reset(raw) };
  const socket = await (await import('./proxy-tls.ts')).secureProxy(raw, host, proxyCa);
  return {
    socket,
    abort: () => {
      raw.resetAndDestroy();
      socket.destroy();
    },
  };
}

/** What Node says where it has tried several addresses stands in each of its errors. */
const reasonOf = (error: unknown): string =>
  error instanceof AggregateError ? error.errors.map(reasonOf).join('; ') : (error as Error).message;

/** Says which proxy it was; what has been said of trying again stays. */
function explain(proxy: Proxy, error: unknown): Error {
  const hint = proxy.from === undefined ? '' : '; to go without it say "proxy=off" in the address';
  const { final } = error as { final?: boolean };
  const explained = new Error(`${showProxy(proxy)}: ${reasonOf(error)}${hint}`, { cause: error });
  return final ? Object.assign(explained, { final }) : explained;
}

/** A connection to the target through the proxy. Nothing is left of it if that fails. */
export async function dialThrough(proxy: Proxy, target: TcpTarget, context: CarrierContext): Promise<Carrier> {
  try {
    const ask = await askBy[proxy.scheme]();
    const { proxyAuth } = target;
    const credentials = proxyAuth === undefined ? proxy.credentials : await readCredentials(proxyAuth, context);
    const carrier = await connectToProxy(proxy, target, context);
    try {
      await ask(carrier.socket, target, credentials);
      return carrier;
    } catch (error) {
      carrier.abort();
      throw error;
    }
  } catch (error) {
    throw explain(proxy, error);
  }
}
