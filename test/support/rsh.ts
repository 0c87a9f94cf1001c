/**
 * `sluice rsh` as programs find it: a far gateway as a process of its own, a configuration in which the host `far` leads to
 * it, and a script that a program can be given as its remote shell.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addOption } from './borg.ts';
import { certificates } from './certificates.ts';
import { COMMAND, startSluice, type Running } from './command.ts';
import { run, type Ran } from './programs.ts';
import type { Scope } from './scope.ts';

const TOKEN = 'slu_laptop_0123456789abcdefghij';

const keyPair = (): string => `cert=${certificates().server.cert}&key=${certificates().server.key}`;

/** Where a far gateway listens, and the options that a client adds to the address that it tells. */
const PLACES = {
  unix: (folder: string) => ({ source: `unix:${folder}/far.sock?session=yes`, options: '' }),
  tcp: () => ({ source: 'tcp://127.0.0.1:0?session=yes', options: '' }),
  tls: () => ({ source: `tls://127.0.0.1:0?${keyPair()}`, options: `?ca=${certificates().ca}` }),
  ws: () => ({ source: 'ws://127.0.0.1:0/far', options: '' }),
  wss: () => ({ source: `wss://127.0.0.1:0/far?${keyPair()}`, options: `?ca=${certificates().ca}` }),
} satisfies Record<string, (folder: string) => { source: string; options: string }>;

export type RshCarrier = keyof typeof PLACES;
export const RSH_CARRIERS = Object.keys(PLACES) as RshCarrier[];

export interface Far {
  /** The newest, if it was started anew. */
  readonly gateway: Running;
  /** What a client dials; it has a `?`, or none. */
  readonly address: string;
  /** The program to give to others as their remote shell. Its arguments are those of ssh. */
  readonly rsh: string;
  /** For programs that call `rsh`: the configuration, and a home of their own. */
  readonly environment: NodeJS.ProcessEnv;
  /** Runs `sluice rsh ARGS` with this standard input. */
  run(args: readonly string[], input?: string | Buffer): Promise<Ran>;
  /** Kills the gateway so that it can do nothing more, and starts another in its place. */
  restart(): Promise<void>;
}

export interface FarOptions {
  /** Further keys of the far link, as YAML in one line. */
  readonly link?: string;
  /** Where clients dial instead: of a proxy before the gateway, say. */
  readonly through?: (address: string) => Promise<string>;
  /** Our own options of every `rsh`. */
  readonly options?: readonly string[];
  /** A further option of the far source, `resume=off`. */
  readonly source?: string;
  /** Further variables of the far gateway. */
  readonly farEnvironment?: NodeJS.ProcessEnv;
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** A private file. */
function write(path: string, text: string, mode = 0o600): string {
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
  return path;
}

/** A gateway that runs this configuration, and where it listens. */
async function startGateway(
  scope: Scope,
  file: string,
  env: NodeJS.ProcessEnv,
): Promise<{ gateway: Running; bound: string }> {
  const gateway = startSluice(scope, ['run', '-c', file], { env });
  gateway.child.stdout.resume();
  const [, bound = ''] = await gateway.untilStderr(/listening {2}source=(\S+)/);
  return { gateway, bound };
}

/** A script that runs `sluice rsh` with our own options before those that its caller gives. */
const script = (options: readonly string[]): string =>
  `#!/bin/sh\nexec ${[process.execPath, COMMAND, 'rsh', ...options].map(quote).join(' ')} "$@"\n`;

/**
 * Starts a far gateway with one link, for the identity `laptop`, and makes its client's side.
 *
 * @param sink as YAML: `{ exec: [borg, serve] }`, `"sftp:"`
 */
export async function startFar(
  scope: Scope,
  carrier: RshCarrier,
  sink: string,
  { link = '', through = async (address) => address, options = [], source: more, farEnvironment }: FarOptions = {},
): Promise<Far> {
  const folder = scope.folder();
  const token = write(join(folder, 'token'), `${TOKEN}\n`);
  const { source: place, options: dialing } = PLACES[carrier](folder);
  const source = more === undefined ? place : addOption(place, more);
  const begin = (at: string): ReturnType<typeof startGateway> => {
    const yaml = `identities: { laptop: { token: "file:${token}" } }
links:
  - { name: far, source: ${JSON.stringify(at)}, sink: ${sink}, allow: [laptop]${link === '' ? '' : `, ${link}`} }
`;
    const env = { ...process.env, HOME: folder, ...farEnvironment };
    return startGateway(scope, write(join(folder, 'far.yaml'), yaml), env);
  };
  const first = await begin(source);
  let { gateway } = first;
  const address = `${await through(first.bound)}${dialing}`;
  const hosts = `hosts: { far: { sink: ${JSON.stringify(address)}, token: "file:${token}" } }\n`;
  const config = write(join(folder, 'near.yaml'), hosts);
  const rsh = write(join(folder, 'rsh'), script(options), 0o700);
  const environment = { PATH: process.env['PATH'], LANG: 'C.UTF-8', HOME: folder, SLUICE_CONFIG: config };
  return {
    get gateway() {
      return gateway;
    },
    address: addOption(address, `token=file:${token}`),
    rsh,
    environment,
    run: (args, input = '') => run(scope, rsh, args, { env: environment, input }),
    async restart() {
      gateway.child.kill('SIGKILL');
      await gateway.ended;
      const port = /:(\d+)/.exec(first.bound)?.[1];
      ({ gateway } = await begin(port === undefined ? source : source.replace(':0', `:${port}`)));
    },
  };
}
