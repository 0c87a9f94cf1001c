/** The options that `tls` and `wss` share, and what can be checked of them without reading a file. Pure. */
import { hostname } from 'node:os';
import type { ParseInput, Proof } from '../plugins/contract/index.ts';
import { formatHostPort } from './host-port.ts';

export const TLS_OPTIONS = {
  cert: {
    type: 'string',
    help: 'file with our certificate chain (PEM); on a source "self" makes a key and certificate',
  },
  key: { type: 'path', help: 'file with the private key of cert (PEM)' },
  ca: {
    type: 'path',
    help: 'file with the authorities (PEM) that sign the peer; on a source: clients need a certificate',
  },
  pin: { type: 'list', role: 'sink', help: 'sha256/BASE64 of the server’s public key (SPKI); may be repeated' },
  servername: { type: 'string', role: 'sink', help: 'name to ask for and to verify instead of the host' },
} as const;

export interface TlsNames {
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly ca: string | undefined;
  readonly pin: readonly string[];
  readonly servername: string | undefined;
}

const PIN = /^sha256\/[A-Za-z0-9+/]{43}=$/;

/** Checks what can be checked without reading files. @throws Error naming the option. */
export function parseTlsNames({ options, role, resolvePath }: ParseInput<typeof TLS_OPTIONS>): TlsNames {
  const { key, ca, pin, servername } = options;
  const cert = options.cert === undefined || options.cert === 'self' ? options.cert : resolvePath(options.cert);
  const wrong = pin.find((text) => !PIN.test(text));
  if (wrong !== undefined)
    throw new Error(`option "pin": expected sha256/ and 44 characters of base64, got ${JSON.stringify(wrong)}`);
  if (role === 'source' && cert === undefined) throw new Error('a source needs "cert" and "key", or "cert=self"');
  if (cert === 'self' && (role === 'sink' || key !== undefined)) {
    throw new Error(role === 'sink' ? '"cert=self" is for a source' : '"cert=self" makes its own key; leave "key" out');
  }
  if (cert !== 'self' && (cert === undefined) !== (key === undefined)) throw new Error('"cert" and "key" go together');
  return { cert, key, ca, pin, servername };
}

/** A key is proved by the handshake itself, a name only by an authority. */
export const provenBy = ({ ca }: TlsNames): readonly Proof[] => (ca === undefined ? ['pin'] : ['pin', 'san', 'spiffe']);

/** What a client of a `cert=self` source would dial: a name instead of 0.0.0.0, and the pin. */
export function pinnedAddress(scheme: string, host: string, port: number, path: string, pin: string): string {
  const name = host === '0.0.0.0' || host === '::' ? hostname() : host;
  return `${scheme}://${formatHostPort({ host: name, port })}${path}?pin=${pin}`;
}
