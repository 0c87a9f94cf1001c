/** A real borg, with the built command as its remote shell and as the gateway before its server. */
import assert from 'node:assert/strict';
import { certificates } from './certificates.ts';
import { COMMAND } from './command.ts';
import { run, start, startLink, type Program, type Ran } from './programs.ts';
import type { Scope } from './scope.ts';

/** A borg client with a home of its own, whose remote shell is `sluice connect ADDRESS`. */
export class BorgClient {
  readonly folder: string;
  readonly #scope: Scope;
  readonly #env: NodeJS.ProcessEnv;

  constructor(scope: Scope, address: string) {
    this.#scope = scope;
    this.folder = scope.folder();
    this.#env = {
      PATH: process.env['PATH'],
      LANG: 'C.UTF-8',
      HOME: this.folder,
      BORG_BASE_DIR: this.folder,
      BORG_RSH: `sh -c 'exec "${process.execPath}" "${COMMAND}" connect "${address}"'`,
      BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
      BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes',
    };
  }

  /** In a process group of its own, so that it can get a Ctrl-C as from a terminal. */
  start(args: readonly string[], cwd: string): Program {
    return start(this.#scope, 'borg', args, { cwd, env: this.#env, detached: true });
  }

  run(args: readonly string[], cwd = this.folder): Promise<Ran> {
    return run(this.#scope, 'borg', args, { cwd, env: this.#env });
  }

  /** Runs it to a good end, and resolves with its standard output. */
  async ok(args: readonly string[], cwd = this.folder): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, cwd);
    assert.equal(code, 0, `borg ${args.join(' ')}: ${stderr}`);
    return stdout.toString();
  }
}

export const repositoryUrl = (path: string): string => `ssh://gateway${path}`;

const keyPair = (): string => `cert=${certificates().server.cert}&key=${certificates().server.key}`;
const authority = (): string => `ca=${certificates().ca}`;

/** Where a gateway listens, and the options with which a client dials it. */
export const CARRIERS: Readonly<Record<string, (folder: string) => { source: string; options: string }>> = {
  unix: (folder) => ({ source: `unix:${folder}/gateway.sock`, options: '' }),
  tcp: () => ({ source: 'tcp://127.0.0.1:0', options: '' }),
  tls: () => ({ source: `tls://127.0.0.1:0?${keyPair()}`, options: `?${authority()}` }),
  ws: () => ({ source: 'ws://127.0.0.1:0/borg', options: '' }),
  wss: () => ({ source: `wss://127.0.0.1:0/borg?${keyPair()}`, options: `?${authority()}` }),
};

/** An address with one more option. */
export const addOption = (address: string, option: string): string =>
  `${address}${address.includes('?') ? '&' : '?'}${option}`;

/** A gateway over one carrier; resolves with the address that its clients dial. */
export async function gateway(scope: Scope, carrier: string, sink: string, option = ''): Promise<string> {
  const place = CARRIERS[carrier]?.(scope.folder());
  assert.ok(place);
  const { address } = await startLink(scope, option === '' ? place.source : addOption(place.source, option), sink);
  return `${address}${place.options}`;
}

export const serveBelow = (folder: string): string => `exec:borg serve --restrict-to-path ${folder}`;
