/** HTTP CONNECT (RFC 9110 §9.3.6): a proxy is asked for a target, and its answer is followed by the target's bytes. */
import { request } from 'node:http';
import { formatHostPort } from './host-port.ts';
import type { Ask } from './proxy.ts';
import { NO_CREDENTIALS, WRONG_CREDENTIALS, type Credentials } from './proxy-options.ts';

const basic = ({ user, password }: Credentials): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

const REMEDIES: Readonly<Record<number, string>> = {
  403: ': it does not allow that',
  405: ': it does not know CONNECT',
};

/** Some answer 401 to credentials that are wrong (tinyproxy). */
const isUnauthorized = (status: number): boolean => status === 407 || status === 401;

/** What the proxy said instead of yes. */
function refusal(status: number, said: string, authority: string, credentials: Credentials | undefined): Error {
  const ofStatus = REMEDIES[status] ?? (status >= 500 ? ': it could not reach it' : '');
  const remedy = isUnauthorized(status) ? `: ${credentials ? WRONG_CREDENTIALS : NO_CREDENTIALS}` : ofStatus;
  const error = new Error(`it answered "${`${status} ${said}`.trim()}" when asked for ${authority}${remedy}`);
  return Object.assign(error, { final: isUnauthorized(status) || status === 403 });
}

/** Node's words for a proxy that closes, and for one that speaks something else. */
function explain(error: NodeJS.ErrnoException): Error {
  if (error.message === 'socket hang up') return new Error('it closed without an answer', { cause: error });
  if (error.code?.startsWith('HPE_')) return new Error('what answers there is no HTTP proxy', { cause: error });
  return error;
}

export const askByConnect: Ask = async (socket, target, credentials) => {
  const authority = formatHostPort(target);
  const answered = Promise.withResolvers<void>();
  const asking = request({
    method: 'CONNECT',
    path: authority,
    headers: { host: authority, ...(credentials && { 'proxy-authorization': basic(credentials) }) },
    createConnection: () => socket,
  });
  asking.on('error', (error) => answered.reject(explain(error)));
  asking.once('connect', ({ statusCode = 0, statusMessage = '' }, _socket, early: Buffer) => {
    if (Math.trunc(statusCode / 100) !== 2)
      return answered.reject(refusal(statusCode, statusMessage, authority, credentials));
    if (early.length > 0) socket.unshift(early); // a target that speaks first, in one packet with the answer
    answered.resolve();
  });
  asking.end();
  await answered.promise;
};
