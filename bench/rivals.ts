/** The programs that Sluice is measured beside, each in its own default settings unless its name says otherwise. */
import { writeFileSync } from 'node:fs';
import { SINK } from './programs.ts';
import { certificate } from './certificate.ts';
import { locate, type Contender, type Front } from './contender.ts';
import { freePort, type Stage } from './stage.ts';

/** Starts a program; resolves with its address when that can be reached. */
async function listening(
  stage: Stage,
  address: string,
  program: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<Front> {
  await stage.start(locate(program) ?? program, args, environment).reachable(address);
  return { address };
}

function socat(name: string, options: readonly string[], contender: Partial<Contender> = {}): Contender {
  return {
    name,
    needs: ['socat'],
    ...contender,
    open: (stage, { socket }, id) => {
      const address = stage.path(`${id}.sock`);
      return listening(stage, address, 'socat', [...options, `UNIX-LISTEN:${address},fork`, `UNIX-CONNECT:${socket}`]);
    },
  };
}

const socatTcp: Contender = {
  name: 'socat, tcp',
  needs: ['socat'],
  open: async (stage, { port }) => {
    const address = await freePort();
    const [from, to] = [`TCP-LISTEN:${address},bind=127.0.0.1,fork`, `TCP:127.0.0.1:${port}`];
    return listening(stage, address, 'socat', [from, to]);
  },
};

const socatStdio: Contender = {
  name: 'socat, stdio to unix',
  needs: ['socat'],
  open: async (_stage, { socket }) => ({ through: ['socat', '-', `UNIX-CONNECT:${socket}`] }),
};

function haproxy(name: string, kind: 'unix' | 'tcp'): Contender {
  return {
    name,
    needs: ['haproxy'],
    open: async (stage, { socket, port }, id) => {
      const address = kind === 'unix' ? stage.path(`${id}.sock`) : await freePort();
      const [bind, server] =
        kind === 'unix' ? [`unix@${address}`, `unix@${socket}`] : [`127.0.0.1:${address}`, `127.0.0.1:${port}`];
      const timeouts = ['connect', 'client', 'server'].map((which) => `  timeout ${which} 1m`);
      const lines = [
        'defaults',
        '  mode tcp',
        ...timeouts,
        'listen bench',
        `  bind ${bind}`,
        `  server sink ${server}`,
      ];
      const file = stage.path(`${id}.cfg`);
      writeFileSync(file, `${lines.join('\n')}\n`);
      return listening(stage, address, 'haproxy', ['-db', '-f', file]);
    },
  };
}

const stunnelPair: Contender = {
  name: 'stunnel pair',
  needs: ['stunnel', 'openssl'],
  open: async (stage, { socket }, id) => {
    const { cert, key } = await certificate(stage);
    const [address, port] = [stage.path(`${id}.sock`), await freePort()];
    const start = (role: string, at: string, lines: readonly string[]): Promise<Front> => {
      const file = stage.path(`${id}-${role}.conf`);
      writeFileSync(file, ['foreground = yes', 'pid =', '[bench]', ...lines, ''].join('\n'));
      return listening(stage, at, 'stunnel', [file]);
    };
    const [near, far] = [`127.0.0.1:${port}`, socket];
    await start('server', port, [`accept = ${near}`, `connect = ${far}`, `cert = ${cert}`, `key = ${key}`]);
    const verify = [`CAfile = ${cert}`, 'verifyChain = yes', 'checkIP = 127.0.0.1'];
    return start('client', address, ['client = yes', `accept = ${address}`, `connect = ${near}`, ...verify]);
  },
};

/** inetd's way without us: accept, fork, and the command has the socket. */
const inetd: Contender = {
  name: 'inetd and the command',
  needs: [],
  open: (stage, { command }, id) => {
    const address = stage.path(`${id}.sock`);
    return listening(stage, address, SINK, ['inetd', address, ...command]);
  },
};

export const rivals = {
  direct: { name: 'direct', needs: [], roundTrips: true, open: async (_stage, { socket }) => ({ address: socket }) },
  socat: socat('socat', [], { roundTrips: true }),
  socatLarge: socat('socat -b 262144', ['-b', '262144']),
  haproxy: haproxy('HAProxy', 'unix'),
  directTcp: { name: 'direct, tcp', needs: [], open: async (_stage, { port }) => ({ address: port }) },
  socatTcp,
  haproxyTcp: haproxy('HAProxy, tcp', 'tcp'),
  stunnelPair,
  inetd,
  socatStdio,
} as const satisfies Record<string, Contender>;
