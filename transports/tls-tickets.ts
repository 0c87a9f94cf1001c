/**
 * A server that lets nobody in by a ticket. Where certificates are asked for, a ticket would let a client in again without one,
 * also after its authority is gone. OpenSSL sends two of them, and Node offers no word for their number: the switch that Node
 * has, `SSL_OP_NO_TICKET`, only makes them worthless. The callback that encrypts them may say "none", and then none is sent; it
 * is not public, so it is looked for, and where it is missing there is the switch. Loaded when an address needs it.
 */
import { constants } from 'node:crypto';
import { createServer, type Server, type TlsOptions } from 'node:tls';

interface Context {
  onticketkeycallback?: (name: Buffer, iv: Buffer, isNew: boolean) => unknown;
  enableTicketKeyCallback?(): void;
}

const PART = Buffer.alloc(16);
/** No ticket is made, and none is read. Node wants the name, keys and vector of one all the same. */
const NONE = [0, PART, PART, PART, PART];

export function createTicketlessServer(options: TlsOptions): Server {
  const server = createServer(options);
  const context = (server as { _sharedCreds?: { context?: Context } })._sharedCreds?.context;
  if (context?.enableTicketKeyCallback === undefined)
    return createServer({ ...options, secureOptions: constants.SSL_OP_NO_TICKET });
  context.onticketkeycallback = () => NONE;
  context.enableTicketKeyCallback();
  return server;
}
