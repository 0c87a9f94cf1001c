/** Programs of others that the tests run. They come from Debian (or Ubuntu), in whatever version it has; borg 2 from PyPI. */
import { CHECK_BORG2, MAKE_BORG2 } from './borg2.ts';

export interface Need {
  /** What is looked for on the PATH, or what `probe` is called in messages. */
  readonly name: string;
  /** Where being on the PATH is not enough: a command that succeeds if it is there. */
  readonly probe?: readonly [string, ...string[]];
  readonly packages: readonly string[];
  /** What packages do not bring: the command that does, run as the user when the packages of all needs are there. */
  readonly make?: readonly [string, ...string[]];
}

const program = (name: string, ...packages: string[]): Need => ({ name, packages });

export const NEEDS: readonly Need[] = [
  program('borg', 'borgbackup'),
  program('socat', 'socat'),
  program('openssl', 'openssl'),
  program('curl', 'curl'),
  program('rsync', 'rsync'),
  program('git', 'git'),
  program('restic', 'restic'),
  program('ssh', 'openssh-client'),
  program('sftp', 'openssh-client'),
  program('scp', 'openssh-client'),
  { name: 'sftp-server', probe: ['test', '-x', '/usr/lib/openssh/sftp-server'], packages: ['openssh-sftp-server'] },
  program('sshfs', 'sshfs'),
  program('fusermount3', 'fuse3'),
  program('bwrap', 'bubblewrap'),
  program('sshd', 'openssh-server'),
  program('nginx', 'nginx'),
  program('haproxy', 'haproxy'),
  program('stunnel', 'stunnel4'),
  program('tinyproxy', 'tinyproxy-bin'),
  program('microsocks', 'microsocks'),
  program('obfs4proxy', 'obfs4proxy'),
  program('danted', 'dante-server'),
  program('systemd-socket-activate', 'systemd'),
  program('systemd-analyze', 'systemd'),
  program('flock', 'util-linux'),
  program('setpriv', 'util-linux'),
  program('getent', 'libc-bin'),
  program('ip', 'iproute2'),
  program('nft', 'nftables'),
  program('unshare', 'util-linux'),
  program('nsenter', 'util-linux'),
  program('useradd', 'passwd'),
  program('hostname', 'hostname'),
  program('pgrep', 'procps'),
  program('tar', 'tar'),
  {
    name: 'cc with the C library',
    probe: ['cc', '-E', '-include', 'stdio.h', '-x', 'c', '/dev/null'],
    packages: ['gcc', 'libc6-dev'],
  },
  {
    // by its path: another python3 that comes first on the PATH does not have Debian's modules
    name: 'python3 with websockets',
    probe: ['/usr/bin/python3', '-c', 'import websockets'],
    packages: ['python3', 'python3-websockets'],
  },
  { name: 'python3 with venv', probe: ['/usr/bin/python3', '-c', 'import ensurepip'], packages: ['python3-venv'] },
  {
    name: 'the headers that borg 2 is compiled with',
    probe: ['pkg-config', '--exists', 'python3', 'libcrypto', 'liblz4', 'libacl'],
    packages: ['pkg-config', 'python3-dev', 'libssl-dev', 'liblz4-dev', 'libacl1-dev'],
  },
  { name: 'borg 2', probe: CHECK_BORG2, packages: [], make: MAKE_BORG2 },
];
