/** The small authority of `sluice authorize --certificate`: made once, and kept in the state folder. */
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { issue, makeAuthority, type ClientCertificateRequest } from './certificate-making.ts';
import { pinOf, readKeyPair, type KeyPair } from './tls-credentials.ts';

/** Keeps a pair in a folder that appears as a whole: of several that start at once, one wins. */
export async function keepPair(folder: string, make: () => Promise<KeyPair>): Promise<KeyPair> {
  const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  if (!existsSync(folder)) {
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
  return readKeyPair(files.cert, files.key);
}

export interface Issued {
  readonly cert: string;
  /** Where the key was made here. */
  readonly key: string | undefined;
  readonly pin: string;
}

/** A certificate for a client, signed by our own authority. */
export async function issueClient(state: string, wanted: ClientCertificateRequest): Promise<Issued> {
  const authority = await keepPair(join(state, 'authority'), () => makeAuthority(`Sluice on ${hostname()}`));
  const issued = await issue(authority, wanted);
  return { ...issued, pin: pinOf(new X509Certificate(issued.cert)) };
}
