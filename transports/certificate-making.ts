/**
 * Making keys and certificates: for `cert=self`, and for the small authority of `sluice authorize --certificate`. The only
 * import of @peculiar/x509, and only when it is needed.
 */
import type { webcrypto } from 'node:crypto';
import { hostname } from 'node:os';
import type { KeyPair } from './tls-credentials.ts';

const YEARS = 20;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

async function load() {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

const newKeys = () => crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

async function keyToPem(key: webcrypto.CryptoKey): Promise<string> {
  const { PemConverter } = await load();
  return PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), PemConverter.PrivateKeyTag);
}

function yearsFromNow(years: number): Date {
  const date = new Date();
  date.setFullYear(date.getFullYear() + years);
  return date;
}

/** A key and a certificate of it that nobody else has signed. */
export async function makeSelfSigned(): Promise<KeyPair> {
  const { SubjectAlternativeNameExtension, X509CertificateGenerator } = await load();
  const keys = await newKeys();
  const names = [...new Set([hostname(), 'localhost'])].map((value) => ({ type: 'dns' as const, value }));
  const loopback = ['127.0.0.1', '::1'].map((value) => ({ type: 'ip' as const, value }));
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [hostname()] }],
    notAfter: yearsFromNow(YEARS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [new SubjectAlternativeNameExtension([...names, ...loopback])],
  });
  return { cert: certificate.toString('pem'), key: await keyToPem(keys.privateKey) };
}

/** An authority that signs clients' certificates, and nothing below it does. */
export async function makeAuthority(name: string): Promise<KeyPair> {
  const { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, X509CertificateGenerator } = await load();
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    notAfter: yearsFromNow(YEARS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return { cert: certificate.toString('pem'), key: await keyToPem(keys.privateKey) };
}

export interface ClientCertificateRequest {
  /** Its DNS name. */
  readonly name: string;
  readonly days: number;
  /** Somebody's request (PKCS #10, PEM), whose key is theirs; without one a key is made. */
  readonly request: string | undefined;
}

/** Signs a client's certificate. @throws Error for a request that is none, or whose signature is not its key's */
export async function issue(
  authority: KeyPair,
  { name, days, request }: ClientCertificateRequest,
): Promise<{ readonly cert: string; readonly key: string | undefined }> {
  const x509 = await load();
  const issuer = new x509.X509Certificate(authority.cert);
  const der = x509.PemConverter.decode(authority.key)[0] as ArrayBuffer;
  const signingKey = await crypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
  const asked = request === undefined ? undefined : new x509.Pkcs10CertificateRequest(request);
  if (asked !== undefined && !(await asked.verify())) throw new Error('the signature of the request is not its key’s');
  const keys = asked === undefined ? await newKeys() : undefined;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [name] }],
    issuer: issuer.subjectName,
    notAfter: new Date(Date.now() + days * 86_400_000),
    signingAlgorithm: ALGORITHM,
    signingKey,
    publicKey: asked?.publicKey ?? (keys as webcrypto.CryptoKeyPair).publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }]),
    ],
  });
  return { cert: certificate.toString('pem'), key: keys && (await keyToPem(keys.privateKey)) };
}
