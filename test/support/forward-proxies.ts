/** Proxies of others that clients dial through: tinyproxy (HTTP), microsocks and Dante (SOCKS5), and stunnel for one by https. */
import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { certificates } from './certificates.ts';
import { freePort, start, untilListening, type Program } from './programs.ts';
import { find } from './proxies.ts';
import type { Scope } from './scope.ts';

export const USER = 'me';
export const PASSWORD = 's3cret-word.1';

/** A file for `proxy-auth`. */
export function authFile(scope: Scope, text = `${USER}:${PASSWORD}\n`): string {
  const path = join(scope.folder(), 'proxy-auth');
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

export interface ForwardProxy {
  /** For `proxy=`. */
  readonly url: string;
  readonly program: Program;
}

/** Wants Basic authentication. @param port that it had before, or a free one */
export async function tinyproxy(scope: Scope, port?: number): Promise<ForwardProxy> {
  const [folder, listening] = [scope.folder(), port ?? (await freePort())];
  const conf = join(folder, 'conf');
  writeFileSync(
    conf,
    `Port ${listening}\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\nBasicAuth ${USER} ${PASSWORD}\n`,
  );
  const program = start(scope, await find(scope, 'tinyproxy'), ['-d', '-c', conf]);
  await untilListening(listening);
  return { url: `http://127.0.0.1:${listening}`, program };
}

/** As tinyproxy, by TLS. */
export async function tinyproxyByTls(scope: Scope): Promise<ForwardProxy> {
  const { url } = await tinyproxy(scope);
  const { cert, key } = certificates().server;
  const [conf, port] = [join(scope.folder(), 'conf'), await freePort()];
  const accept = `accept = 127.0.0.1:${port}\nconnect = ${new URL(url).host}\ncert = ${cert}\nkey = ${key}`;
  writeFileSync(conf, `foreground = yes\npid =\n[proxy]\n${accept}\n`);
  const program = start(scope, await find(scope, 'stunnel'), [conf]);
  await untilListening(port);
  return { url: `https://localhost:${port}`, program };
}

/** Wants a user and a password. */
export async function microsocks(scope: Scope): Promise<ForwardProxy> {
  const port = await freePort();
  const args = ['-i', '127.0.0.1', '-p', String(port), '-u', USER, '-P', PASSWORD];
  const program = start(scope, await find(scope, 'microsocks'), args);
  await untilListening(port);
  return { url: `socks5h://127.0.0.1:${port}`, program };
}

/** Lets everybody in, and passes the end of one direction on as such. */
export async function dante(scope: Scope): Promise<ForwardProxy> {
  const [folder, port] = [scope.folder(), await freePort()];
  const conf = join(folder, 'conf');
  const all = '{ from: 0.0.0.0/0 to: 0.0.0.0/0 }';
  writeFileSync(
    conf,
    `logoutput: stderr
internal: 127.0.0.1 port = ${port}
external: 127.0.0.1
clientmethod: none
socksmethod: none
user.unprivileged: ${userInfo().username}
client pass ${all}
socks pass ${all}
`,
  );
  const program = start(scope, await find(scope, 'danted'), ['-f', conf, '-p', join(folder, 'pid')]);
  await untilListening(port);
  return { url: `socks5://127.0.0.1:${port}`, program };
}
