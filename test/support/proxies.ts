/** nginx and HAProxy as a site has them: TLS for the world, and a WebSocket source of ours behind them. */
import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { certificates } from './certificates.ts';
import { freePort, run, start, untilListening } from './programs.ts';
import type { Scope } from './scope.ts';

/** Starts it before `backend` (`127.0.0.1:80` or a socket's path); resolves with the wss address to dial. */
export type Proxy = (scope: Scope, backend: string) => Promise<string>;

const dialed = (port: number): string => `wss://127.0.0.1:${port}/borg?ca=${certificates().ca}`;

export const nginx: Proxy = async (scope, backend) => {
  const { cert, key } = certificates().server;
  const [folder, port] = [scope.folder(), await freePort()];
  const place = backend.startsWith('/') ? `unix:${backend}:` : backend;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder};`);
  writeFileSync(
    join(folder, 'conf'),
    `daemon off; master_process off; pid ${folder}/pid; user ${userInfo().username}; error_log stderr;
    events {}
    http { access_log off; ${temporary.join(' ')}
      server { listen 127.0.0.1:${port} ssl; ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.3;
        location / { proxy_pass http://${place}; proxy_http_version 1.1; proxy_set_header Host $host;
          proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; } } }`,
  );
  start(scope, await find(scope, 'nginx'), ['-e', 'stderr', '-p', folder, '-c', join(folder, 'conf')]);
  await untilListening(port);
  return dialed(port);
};

export const haproxy: Proxy = async (scope, backend) => {
  const { cert, key } = certificates().server;
  const [folder, port] = [scope.folder(), await freePort()];
  writeFileSync(join(folder, 'pair.pem'), (await run(scope, 'cat', [cert, key])).stdout, { mode: 0o600 });
  const place = backend.startsWith('/') ? `unix@${backend}` : backend;
  writeFileSync(
    join(folder, 'conf'),
    `defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend world
  bind 127.0.0.1:${port} ssl crt ${folder}/pair.pem ssl-min-ver TLSv1.3 alpn http/1.1
  default_backend sluice
backend sluice
  server one ${place}
`,
  );
  start(scope, await find(scope, 'haproxy'), ['-db', '-f', join(folder, 'conf')]);
  await untilListening(port);
  return dialed(port);
};

/** Servers are in folders that not every user's PATH names. @throws Error if it is nowhere. */
export async function find(scope: Scope, name: string): Promise<string> {
  const PATH = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`;
  const { stdout, code } = await run(scope, 'sh', ['-c', `command -v ${name}`], { env: { PATH } });
  if (code !== 0) throw new Error(`${name} is not installed; "npm test -- --provision" installs what the tests need`);
  return stdout.toString().trim();
}
