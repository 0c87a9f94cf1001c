/** A small authority made with openssl, once a process: a server's pair, a client's, one nobody signed, one of another name. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  readonly ca: string;
  /** For localhost, 127.0.0.1 and ::1. */
  readonly server: Pair;
  readonly client: Pair;
  /** For backup.example. */
  readonly site: Pair;
  /** Signed by the authority, for other.example. */
  readonly otherName: Pair;
  /** Signed by nobody. */
  readonly stranger: Pair;
  /** A further one of the authority's, with these alternative names, as openssl writes them. */
  issue(name: string, alternatives: string): Pair;
}

/** `sha256/BASE64` of the public key, as openssl counts it. */
export function pinOf({ cert }: Pair): string {
  const key = execFileSync('openssl', ['x509', '-in', cert, '-noout', '-pubkey']);
  const spki = execFileSync('openssl', ['pkey', '-pubin', '-outform', 'DER'], { input: key });
  return `sha256/${createHash('sha256').update(spki).digest('base64')}`;
}

const openssl = (folder: string, ...args: string[]): void =>
  void execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });

function makeCertificates(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-certificates-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string): string => join(folder, name);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl(
    folder,
    'req',
    '-x509',
    ...key,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-days',
    '2',
    '-subj',
    '/CN=test authority',
  );
  const sign = (name: string, alternatives: string): Pair => {
    writeFileSync(at(`${name}.ext`), `subjectAltName=${alternatives}\n`);
    openssl(folder, 'req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const from = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', `${name}.ext`];
    openssl(folder, 'x509', '-req', '-in', `${name}.csr`, ...from, '-out', `${name}.pem`, '-days', '2');
    return { cert: at(`${name}.pem`), key: at(`${name}.key`) };
  };
  openssl(
    folder,
    'req',
    '-x509',
    ...key,
    '-keyout',
    'stranger.key',
    '-out',
    'stranger.pem',
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
  );
  return {
    ca: at('ca.pem'),
    server: sign('server', 'DNS:localhost,IP:127.0.0.1,IP:::1'),
    client: sign('client', 'DNS:client.example'),
    site: sign('site', 'DNS:backup.example'),
    otherName: sign('other', 'DNS:other.example'),
    stranger: { cert: at('stranger.pem'), key: at('stranger.key') },
    issue: sign,
  };
}

let made: Certificates | undefined;

export const certificates = (): Certificates => (made ??= makeCertificates());
