/**
 * Certificates, keys and pins, for `tls` and `wss`: reading and checking of files, and the verification of a server by
 * chain and name, by pin, or by both. Loaded when an address needs it.
 */
import { X509Certificate, createHash, createPrivateKey, type KeyObject } from 'node:crypto';

import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import type { Proof } from '../plugins/contract/index.ts';
import type { ServerCredentials } from './tls-serve.ts';
import type { TlsNames } from './tls-options.ts';

/** ms. An honest handshake takes two round trips; a silent or dripping peer is cut then, whatever it sends. */
export const HANDSHAKE_DEADLINE = 10_000;

async function readPem(file: string, option: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new Error(`option "${option}": cannot read ${file} (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}

function parsePem<T>(file: string, option: string, what: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new Error(`option "${option}": ${file} holds no ${what} in PEM form`, { cause });
  }
}

export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** @throws Error if a file cannot be read, holds something else, or if the key is not the certificate's. */
export async function readKeyPair(certFile: string, keyFile: string): Promise<KeyPair> {
  const [cert, key] = await Promise.all([readPem(certFile, 'cert'), readPem(keyFile, 'key')]);
  const certificate = parsePem(certFile, 'cert', 'certificate', () => new X509Certificate(cert));
  const privateKey: KeyObject = parsePem(keyFile, 'key', 'private key', () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey))
    throw new Error(`the key in ${keyFile} is not that of the certificate in ${certFile}`);
  if (new Date(certificate.validTo) < new Date())
    throw new Error(`the certificate in ${certFile} expired on ${certificate.validTo}`);
  return { cert, key };
}

export async function readAuthorities(file: string, option = 'ca'): Promise<string> {
  const ca = await readPem(file, option);
  parsePem(file, option, 'certificate', () => new X509Certificate(ca));
  return ca;
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

const splitCertificates = (pem: string): X509Certificate[] =>
  (pem.match(CERTIFICATES) ?? []).map((one) => new X509Certificate(one));

/** AES with 128 bits first: as safe in practice, and faster than with 256. A client without AES in hardware has its say not. */
const CIPHERS = {
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
  honorCipherOrder: true,
  // ML-KEM first. Not OpenSSL's own list, which has finite fields (ffdhe2048: 112 bits) and P-521 (five times the time).
  ecdhCurve: 'X25519MLKEM768:X25519:P-256:P-384',
} as const;

/**
 * What a server needs. Client certificates are asked for, and demanded, where there is a `ca`; without one they are asked
 * for where a rule knows one by its key (`pin`), and nothing else about them counts.
 */
export async function serverCredentials(
  names: TlsNames,
  pair: KeyPair,
  proofs: readonly Proof[],
): Promise<ServerCredentials> {
  const base = {
    ...CIPHERS,
    cert: pair.cert,
    key: pair.key,
    minVersion: 'TLSv1.3',
    handshakeTimeout: HANDSHAKE_DEADLINE,
  } as const;
  const asking = { ...base, requestCert: true };
  if (names.ca !== undefined) {
    const ca = await readAuthorities(names.ca);
    return { options: { ...asking, ca, rejectUnauthorized: true }, authorities: splitCertificates(ca) };
  }
  const isAsked = proofs.includes('pin');
  return { options: isAsked ? { ...asking, rejectUnauthorized: false } : base, authorities: [] };
}

/** What `tls.connect` and `https.request` need. A pin alone replaces the check of chain and name. */
export async function clientOptions(names: TlsNames, host: string): Promise<ConnectionOptions> {
  const pair = names.cert === undefined || names.key === undefined ? {} : await readKeyPair(names.cert, names.key);
  return {
    ...pair,
    ...(names.ca === undefined ? {} : { ca: await readAuthorities(names.ca) }),
    host,
    servername: names.servername ?? (isIP(host) === 0 ? host : ''),
    minVersion: 'TLSv1.3',
    rejectUnauthorized: names.pin.length === 0 || names.ca !== undefined,
  };
}

/** `sha256/BASE64` of a certificate's public key (SPKI), as HPKP, curl and openssl count it. */
export function pinOf(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return `sha256/${createHash('sha256').update(spki).digest('base64')}`;
}

/** Call in `secureConnect`, before any byte is read or written. @throws Error if no pin matches. */
export function checkPins(names: Pick<TlsNames, 'pin'>, socket: TLSSocket): void {
  if (names.pin.length === 0) return;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw new Error('the server showed no certificate');
  const got = pinOf(certificate);
  if (!names.pin.includes(got)) throw new Error(`the server's key is not a pinned one; its pin is ${got}`);
}

/** Newer Nodes advise a flag of their own here, which is not the remedy of a user of Sluice. */
const NODE_HINT = /; if the root CA is installed locally.*$/;

const TLS_REMEDIES: readonly (readonly [code: RegExp, remedy: string])[] = [
  [/ALTNAME_INVALID/, 'the name does not match; give the right one as "servername", or "pin" the key'],
  [/SELF_SIGNED|UNABLE_TO|CERT_|UNTRUSTED/, 'the server is not verified; give its authority as "ca", or "pin" its key'],
  [/WRONG_VERSION_NUMBER/, 'what answers there does not speak TLS'],
];

/** Adds the remedy to what OpenSSL and Node say about a server that was not verified. */
export function explainTlsError(error: unknown): Error {
  const { code = '', message, reason = message } = error as NodeJS.ErrnoException & { reason?: string };
  const remedy = TLS_REMEDIES.find(([pattern]) => pattern.test(code))?.[1];
  if (remedy === undefined) return error as Error;
  return new Error(`${reason.replace(NODE_HINT, '')} (${remedy})`, { cause: error });
}

/** Faults of the files that an address names, for `sluice check`. */
export async function inspectTls(names: TlsNames): Promise<string[]> {
  const checks: Promise<unknown>[] = [];
  if (names.cert !== undefined && names.key !== undefined) checks.push(readKeyPair(names.cert, names.key));
  if (names.ca !== undefined) checks.push(readAuthorities(names.ca));
  const results = await Promise.allSettled(checks);
  return results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as Error).message] : []));
}
