/**
 * `cert=self`: a key and a certificate of our own, made once and kept in the state folder. Clients pin its key, so
 * neither the names in it nor its long life matter. The only import of @peculiar/x509, and only when it is needed.
 */
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { pinOf, readKeyPair, type KeyPair } from './tls-credentials.ts';

const YEARS = 20;

async function make(): Promise<KeyPair> {
  await import('reflect-metadata');
  const { PemConverter, SubjectAlternativeNameExtension, X509CertificateGenerator } = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const names = [...new Set([hostname(), 'localhost'])].map((value) => ({ type: 'dns' as const, value }));
  const loopback = ['127.0.0.1', '::1'].map((value) => ({ type: 'ip' as const, value }));
  const notAfter = new Date();
  notAfter.setFullYear(notAfter.getFullYear() + YEARS);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [hostname()] }],
    notAfter,
    signingAlgorithm: algorithm,
    keys,
    extensions: [new SubjectAlternativeNameExtension([...names, ...loopback])],
  });
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { cert: certificate.toString('pem'), key: PemConverter.encode(pkcs8, PemConverter.PrivateKeyTag) };
}

/** The kept pair, made if there is none yet, and its pin. */
export async function selfSigned(state: string): Promise<KeyPair & { readonly pin: string }> {
  const folder = join(state, 'self-signed');
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  if (!existsSync(cert)) {
    const made = await make();
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(key, made.key, { mode: 0o600 });
    await writeFile(`${cert}.new`, made.cert, { mode: 0o600 });
    await rename(`${cert}.new`, cert); // last, so that a crash in between leaves no half pair
  }
  const pair = await readKeyPair(cert, key);
  return { ...pair, pin: pinOf(new X509Certificate(pair.cert)) };
}
