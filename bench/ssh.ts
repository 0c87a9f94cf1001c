/** ssh over an sshd of our own on loopback (own keys, own configuration): `-L` from one UNIX socket to another, or a command. */
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

export const SSH_PROGRAMS = ['ssh', 'sshd', 'ssh-keygen'] as const;

/** An sshd of our own; resolves with the arguments of an ssh that reaches it, in their order: options, then the host. */
export async function startSsh(stage: Stage, id: string): Promise<{ options: readonly string[]; host: string }> {
  const keys = { host: stage.path(`${id}-host`), user: stage.path(`${id}-user`) };
  for (const key of Object.values(keys)) await stage.run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  const port = await startServer(stage, keys);
  const checks = [
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'BatchMode=yes',
    'IdentitiesOnly=yes',
    'LogLevel=ERROR',
  ];
  const options = ['-F', 'none', ...checks.flatMap((option) => ['-o', option]), '-p', port, '-i', keys.user];
  return { options, host: `${userInfo().username}@127.0.0.1` };
}

/** `-L` listens at the client, `-R` at the server, and both lead from one UNIX socket to another. */
const forward = (flag: '-L' | '-R'): Contender => ({
  name: `ssh ${flag}`,
  needs: SSH_PROGRAMS,
  roundTrips: true,
  async open(stage, { socket }, id) {
    const { options, host } = await startSsh(stage, id);
    const address = stage.path(`${id}.sock`);
    const flags = ['-N', '-o', 'ExitOnForwardFailure=yes', flag, `${address}:${socket}`];
    const client = stage.start('ssh', [...options, ...flags, host]);
    await client.reachable(address);
    return { address };
  },
});

export const sshForward = forward('-L');
export const sshReverse = forward('-R');
