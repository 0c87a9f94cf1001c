/** The only place where TCP connections of transports are dialed, so that none goes round a proxy that it should go through. */
import { connectSocket, reset, type Carrier, type CarrierContext, type TcpTarget } from './connecting.ts';
import { tune } from './listening.ts';
import { proxyFor } from './proxy-environment.ts';

/** Connects to the target, or to it through the proxy that its address or the environment names. No byte has passed yet. */
export async function dialTcp(target: TcpTarget, context: CarrierContext): Promise<Carrier> {
  const carrier = await connectTcp(target, context);
  if (target.preface !== undefined) carrier.socket.write(target.preface);
  return carrier;
}

async function connectTcp(target: TcpTarget, context: CarrierContext): Promise<Carrier> {
  const proxy = proxyFor(target);
  if (proxy !== undefined) return (await import('./proxy.ts')).dialThrough(proxy, target, context);
  const { host, port, keepalive } = target;
  const socket = tune(await connectSocket({ host, port }, context.signal), keepalive);
  return { socket, abort: reset(socket) };
}
