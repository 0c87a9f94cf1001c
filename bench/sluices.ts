/** Sluice itself: one gateway, or two with a carrier between them. */
import { certificate } from './certificate.ts';
import type { Contender } from './contender.ts';
import { rivals } from './rivals.ts';
import { sshForward } from './ssh.ts';
import type { Stage } from './stage.ts';
import { tunnel } from './tunnels.ts';

/** Starts `sluice link`; resolves with the source's address as bound. */
type Link = (stage: Stage, source: string, sink: string, ...flags: string[]) => Promise<string>;

const quote = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(' ');

/** Two gateways: bytes come in over a UNIX socket, cross the carrier, and leave over a UNIX socket. */
function pair(
  link: Link,
  name: string,
  scheme: 'tls' | 'wss',
  session: 'yes' | 'no',
  contender: Partial<Contender>,
): Contender {
  return {
    name,
    needs: ['openssl'],
    ...contender,
    async open(stage, { socket }, id) {
      const { cert, key } = await certificate(stage);
      const address = stage.path(`${id}.sock`);
      const path = scheme === 'wss' ? '/bench' : '';
      const far = await link(
        stage,
        `${scheme}://127.0.0.1:0${path}?session=${session}&cert=${cert}&key=${key}`,
        `unix:${socket}`,
      );
      await link(stage, `unix:${address}`, `${far}?session=${session}&ca=${cert}`);
      return { address };
    },
  };
}

const PLAIN_TLS = 'sluice unix→tls→unix, plain';

/** @param command the built `sluice`, with the Node that runs it */
export function sluices(command: readonly string[]): readonly Contender[] {
  const [node = process.execPath, ...entry] = command;
  const link: Link = async (stage, source, sink, ...flags) => {
    const gateway = stage.start(node, [...entry, 'link', '--log-format', 'json', ...flags, source, sink]);
    const [line] = await gateway.until(/^.*"message":"listening".*$/m);
    return (JSON.parse(line) as { properties: { source: string } }).properties.source;
  };
  const toCommand =
    (...flags: string[]): Contender['open'] =>
    async (stage, backend, id) => {
      const address = stage.path(`${id}.sock`);
      await link(stage, `unix:${address}`, `exec:${quote(backend.command)}`, ...flags);
      return { address };
    };
  const unix: Contender = {
    name: 'sluice unix→unix',
    needs: [],
    roundTrips: true,
    rival: rivals.socat.name,
    atLeast: 1.5,
    async open(stage, { socket }, id) {
      const address = stage.path(`${id}.sock`);
      await link(stage, `unix:${address}`, `unix:${socket}`);
      return { address };
    },
  };
  const tcp: Contender = {
    name: 'sluice tcp→tcp',
    needs: [],
    rival: rivals.socatTcp.name,
    async open(stage, { port }) {
      const bound = await link(stage, 'tcp://127.0.0.1:0', `tcp://127.0.0.1:${port}`);
      return { address: bound.replace(/^.*:/, '') };
    },
  };
  const handedOff: Contender = {
    name: 'sluice unix→exec',
    needs: [],
    rival: rivals.inetd.name,
    atLeast: 0.8,
    open: toCommand(),
  };
  const piped: Contender = {
    name: 'sluice unix→exec, no hand-off',
    needs: [],
    rival: rivals.inetd.name,
    open: toCommand('--handoff', 'never'),
  };
  const connect: Contender = {
    name: 'sluice connect unix',
    needs: [],
    rival: rivals.socatStdio.name,
    open: async (_stage, { socket }) => ({ through: [...command, 'connect', `unix:${socket}`] }),
  };
  return [
    unix,
    tcp,
    pair(link, PLAIN_TLS, 'tls', 'no', { rival: rivals.stunnelPair.name }),
    pair(link, 'sluice unix→tls→unix, session', 'tls', 'yes', { rival: PLAIN_TLS, atLeast: 0.7 }),
    pair(link, 'sluice unix→wss→unix, plain', 'wss', 'no', { rival: sshForward.name }),
    pair(link, 'sluice unix→wss→unix, session', 'wss', 'yes', {
      rival: sshForward.name,
      atLeast: 1.2,
      roundTrips: true,
    }),
    tunnel(command),
    handedOff,
    piped,
    connect,
  ];
}
