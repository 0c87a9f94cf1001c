/**
 * `cert=self`: a key and a certificate of our own, made once and kept in the state folder. Clients pin its key, so
 * neither the names in it nor its long life matter.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeSelfSigned } from './certificate-making.ts';
import { keepPair } from './authority.ts';
import { pinOf, type KeyPair } from './tls-credentials.ts';

/** The file of the kept certificate and its pin, where one has been made. */
export async function keptPin(state: string): Promise<{ readonly pin: string; readonly file: string } | undefined> {
  const file = join(state, 'self-signed', 'cert.pem');
  const text = await readFile(file).catch(() => undefined);
  return text && { pin: pinOf(new X509Certificate(text)), file };
}

/** The kept pair, made if there is none yet, and its pin. */
export async function selfSigned(state: string): Promise<KeyPair & { readonly pin: string }> {
  const pair = await keepPair(join(state, 'self-signed'), makeSelfSigned);
  return { ...pair, pin: pinOf(new X509Certificate(pair.cert)) };
}
