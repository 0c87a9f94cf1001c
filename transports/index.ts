/** The built-in transports. They use the same contract as any plugin, and have no privilege. */
import type { Transport } from '../plugins/contract/index.ts';
import { exec } from './exec.ts';
import { fd, systemd } from './inherited.ts';
import { sftp } from './sftp.ts';
import { shell } from './shell.ts';
import { createStdio, type StdioHost } from './stdio.ts';
import { tcp } from './tcp.ts';
import { tls } from './tls.ts';
import { unix } from './unix.ts';
import { createTunnel, type TunnelHost } from './tunnel.ts';
import { ws, wss, wsUnix } from './websocket.ts';

export type { StdioHost } from './stdio.ts';
export type { TunnelHost } from './tunnel.ts';

export const builtInTransports = (stdio: StdioHost, tunnels: TunnelHost): readonly Transport[] => [
  unix,
  tcp,
  tls,
  ws,
  wss,
  wsUnix,
  createStdio(stdio),
  createTunnel(tunnels),
  exec,
  shell,
  sftp,
  systemd,
  fd,
];
