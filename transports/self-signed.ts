/**
 * `cert=self`: a key and a certificate of our own, made once and kept in the state folder. Clients pin its key, so
 * neither the names in it nor its long life matter. The only import of @peculiar/x509, and only when it is needed.
 */
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
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

/** Makes the folder with both files elsewhere, then renames it: of several that start at once, one wins. */
async function keep(folder: string): Promise<void> {
  const { cert, key } = await make();
  const draft = await mkdtemp(`${folder}-`);
  await writeFile(join(draft, 'key.pem'), key, { mode: 0o600 });
  await writeFile(join(draft, 'cert.pem'), cert, { mode: 0o600 });
  try {
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true });
    if (!existsSync(folder)) throw error;
  }
}

/** The kept pair, made if there is none yet, and its pin. */
export async function selfSigned(state: string): Promise<KeyPair & { readonly pin: string }> {
  const folder = join(state, 'self-signed');
  if (!existsSync(folder)) await keep(folder);
  const pair = await readKeyPair(join(folder, 'cert.pem'), join(folder, 'key.pem'));
  return { ...pair, pin: pinOf(new X509Certificate(pair.cert)) };
}
