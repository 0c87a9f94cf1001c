/** `ssh -L` from one UNIX socket to another, over an sshd of our own on loopback: own keys, own configuration. */
import { mkdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { locate, type Contender } from './contender.ts';
import { freePort, type Stage } from './stage.ts';

/** An sshd that runs as root insists on this folder, which its package's service makes at boot. */
const PRIVILEGE_SEPARATION = '/run/sshd';

function makePrivilegeSeparation(stage: Stage): void {
  if (process.getuid?.() !== 0 || statSync(PRIVILEGE_SEPARATION, { throwIfNoEntry: false }) !== undefined) return;
  mkdirSync(PRIVILEGE_SEPARATION, { mode: 0o755 });
  stage.defer(() => rmdirSync(PRIVILEGE_SEPARATION));
}

async function startServer(stage: Stage, keys: { host: string; user: string }): Promise<string> {
  const port = await freePort();
  const lines = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${keys.host}`,
    `AuthorizedKeysFile ${keys.user}.pub`,
    'PidFile none',
    'UsePAM no',
    'StrictModes no', // the key lies in a temporary folder
    'PasswordAuthentication no',
    'PermitRootLogin prohibit-password',
    'AllowStreamLocalForwarding yes',
  ];
  const file = stage.path('sshd_config');
  writeFileSync(file, `${lines.join('\n')}\n`);
  makePrivilegeSeparation(stage);
  const sshd = locate('sshd') ?? 'sshd'; // wants to be called by its absolute path
  await stage.start(sshd, ['-D', '-e', '-f', file]).until(/Server listening on/);
  return port;
}

export const sshForward: Contender = {
  name: 'ssh -L',
  needs: ['ssh', 'sshd', 'ssh-keygen'],
  roundTrips: true,
  async open(stage, { socket }, id) {
    const keys = { host: stage.path(`${id}-host`), user: stage.path(`${id}-user`) };
    for (const key of Object.values(keys)) await stage.run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    const port = await startServer(stage, keys);
    const address = stage.path(`${id}.sock`);
    const checks = ['StrictHostKeyChecking=no', `UserKnownHostsFile=/dev/null`, 'BatchMode=yes', 'IdentitiesOnly=yes'];
    const options = [...checks, 'ExitOnForwardFailure=yes'].flatMap((option) => ['-o', option]);
    const where = ['-p', port, '-i', keys.user, `${userInfo().username}@127.0.0.1`];
    const client = stage.start('ssh', ['-F', 'none', '-N', ...options, '-L', `${address}:${socket}`, ...where]);
    await client.reachable(address);
    return { address };
  },
};
