/** One certificate for 127.0.0.1, the same for everybody who speaks TLS. */
import type { Stage } from './stage.ts';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const made = new WeakMap<Stage, Promise<Certificate>>();

async function make(stage: Stage): Promise<Certificate> {
  const pair = { cert: stage.path('cert.pem'), key: stage.path('key.pem') };
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  await stage.run('openssl', ['req', '-x509', ...kind, ...name, '-keyout', pair.key, '-out', pair.cert]);
  return pair;
}

/** Made once a stage, when the first asks for it. */
export function certificate(stage: Stage): Promise<Certificate> {
  const pair = made.get(stage) ?? make(stage);
  made.set(stage, pair);
  return pair;
}
