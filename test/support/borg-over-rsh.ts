/** Real borgs, 1 and 2, whose remote shell is `sluice rsh`. */
import assert from 'node:assert/strict';
import { borg2 } from './borg2.ts';
import { run, start, type Program, type Ran } from './programs.ts';
import type { Far } from './rsh.ts';
import type { Scope } from './scope.ts';

/** What differs between the two: the program, how a repository is named, and the commands. */
export interface BorgKind {
  readonly name: string;
  readonly program: () => string;
  /** Arguments of each step. */
  init(store: string): string[];
  create(store: string, archive: string, ...options: string[]): string[];
  list(store: string, ...options: string[]): string[];
  extract(store: string, archive: string): string[];
  check(store: string): string[];
}

const ssh = (store: string): string => `ssh://far${store}/repository`;
const rest = (store: string): string[] => ['-r', `rest://far/${store}/repository`];

export const BORGS: readonly BorgKind[] = [
  {
    name: 'borg 1',
    program: () => 'borg',
    init: (store) => ['init', '-e', 'none', ssh(store)],
    create: (store, archive, ...options) => ['create', '-C', 'none', ...options, `${ssh(store)}::${archive}`, '.'],
    list: (store, ...options) => ['list', ...options, ssh(store)],
    extract: (store, archive) => ['extract', `${ssh(store)}::${archive}`],
    check: (store) => ['check', ssh(store)],
  },
  {
    name: 'borg 2',
    program: borg2,
    init: (store) => [...rest(store), 'repo-create', '-e', 'none-blake3'],
    create: (store, archive, ...options) => [...rest(store), 'create', '-C', 'none', ...options, archive, '.'],
    list: (store, ...options) => [...rest(store), 'repo-list', ...options],
    extract: (store, archive) => [...rest(store), 'extract', archive],
    check: (store) => [...rest(store), 'check'],
  },
];

/** A borg with a home of its own that reaches the host `far` by `sluice rsh`. */
export class BorgOverRsh {
  readonly folder: string;
  readonly #scope: Scope;
  readonly #kind: BorgKind;
  readonly #env: NodeJS.ProcessEnv;

  constructor(scope: Scope, kind: BorgKind, far: Far, more: NodeJS.ProcessEnv = {}) {
    this.#scope = scope;
    this.#kind = kind;
    this.folder = scope.folder();
    this.#env = {
      ...far.environment,
      BORG_BASE_DIR: this.folder,
      BORG_RSH: far.rsh,
      BORG_REMOTE_PATH: kind.program(),
      BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
      BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes',
      ...more,
    };
  }

  /** In a process group of its own, so that it can get a Ctrl-C as from a terminal. */
  start(args: readonly string[], cwd: string): Program {
    return start(this.#scope, this.#kind.program(), args, { cwd, env: this.#env, detached: true });
  }

  run(args: readonly string[], cwd = this.folder): Promise<Ran> {
    return run(this.#scope, this.#kind.program(), args, { cwd, env: this.#env });
  }

  /** Runs it to a good end, and resolves with its standard output. */
  async ok(args: readonly string[], cwd = this.folder): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, cwd);
    assert.equal(code, 0, `${this.#kind.name} ${args.join(' ')}: ${stderr}`);
    return stdout.toString();
  }
}
