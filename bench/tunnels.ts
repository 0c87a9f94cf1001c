/** A service behind a tunnel that its own side dials, as by `ssh -R`: the bytes come in where the tunnel is listened for. */
import { writeFileSync } from 'node:fs';
import { certificate } from './certificate.ts';
import type { Contender } from './contender.ts';
import { sshReverse } from './ssh.ts';

/** @param command the built `sluice`, with the Node that runs it */
export const tunnel = (command: readonly string[]): Contender => ({
  name: 'sluice tunnel by wss',
  needs: ['openssl'],
  roundTrips: true,
  rival: sshReverse.name,
  atLeast: 1.2,
  async open(stage, { socket }, id) {
    const [node = process.execPath, ...entry] = command;
    const { cert, key } = await certificate(stage);
    const [address, config] = [stage.path(`${id}.sock`), stage.path(`${id}.yaml`)];
    const listen = `wss://127.0.0.1:0/tunnel?cert=${cert}&key=${key}`;
    writeFileSync(
      config,
      `tunnels: { far: { listen: "${listen}" } }
links: [{ name: bench, source: "unix:${address}", sink: "tunnel:far/sink" }]
`,
      { mode: 0o600 },
    );
    const gateway = stage.start(node, [...entry, 'run', '-c', config]);
    const [, bound = ''] = await gateway.until(/source=(wss:\S+)/);
    const dialing = stage.start(node, [...entry, 'tunnel', `${bound}?ca=${cert}`, '--serve', `sink=unix:${socket}`]);
    await dialing.until(/tunnel up/);
    return { address };
  },
});
