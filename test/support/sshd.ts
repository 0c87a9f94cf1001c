/** OpenSSH's server, of one test alone. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { freePort, run, start, untilListening } from './programs.ts';
import { find } from './proxies.ts';
import type { Scope } from './scope.ts';

const me = userInfo();

async function newKey(scope: Scope, file: string): Promise<string> {
  const { code, stderr } = await run(scope, 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
  assert.equal(code, 0, stderr);
  return file;
}

export interface Sshd {
  readonly port: number;
  /** Arguments of ssh that let it in without a question. */
  readonly client: readonly string[];
  /** The words before a target, and who is logged in as, for a line that starts ssh. */
  readonly ssh: readonly string[];
  readonly host: string;
}

/** An sshd of this test alone, that lets our key in; resolves with its port and the client's arguments. */
export async function startSshd(scope: Scope): Promise<Sshd> {
  const [folder, port] = [scope.folder(), await freePort()];
  const [host, key] = [await newKey(scope, join(folder, 'host')), await newKey(scope, join(folder, 'key'))];
  writeFileSync(join(folder, 'authorized'), readFileSync(`${key}.pub`), { mode: 0o600 });
  writeFileSync(
    join(folder, 'config'),
    `ListenAddress 127.0.0.1:${port}
HostKey ${host}
AuthorizedKeysFile ${folder}/authorized
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
PidFile none
`,
  );
  if (me.uid === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 }); // as its own start script does
  start(scope, await find(scope, 'sshd'), ['-D', '-e', '-f', join(folder, 'config')]);
  await untilListening(port);
  const options = ['BatchMode=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'IdentitiesOnly=yes'];
  const client = ['-F', 'none', '-i', key, ...options.flatMap((option) => ['-o', option])];
  return { port, client, ssh: ['ssh', ...client, '-p', String(port)], host: `${me.username}@127.0.0.1` };
}
