/**
 * A host for tests: network, mounts, processes and name of its own (namespaces), and a root that is a private copy of the
 * machine's: accounts are made in it, files written, daemons started, and nothing of it reaches the machine. `host.sh` is
 * its first process, and what ends with it. The command `sluice` is installed there, and borg; borg 2 stands in /opt/borg2.
 */
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { BORG2_FOLDER } from '../provision/borg2.ts';
import type { Program, Ran } from './programs.ts';
import type { Scope } from './scope.ts';

const PROJECT = join(import.meta.dirname, '../..');
const INIT = join(import.meta.dirname, 'host.sh');
const NAMESPACES = ['--mount', '--net', '--uts', '--ipc', '--pid'];
/** ms that a command may take: one that waits for something that never comes must not hold the tests. */
const LONGEST = 120_000;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What a host shows of the machine, and where: the built command, and borg 2, which cannot be moved. */
const SHOWN = [PROJECT, '/usr/local/lib/sluice', process.execPath, '/usr/local/lib/node', BORG2_FOLDER, BORG2_FOLDER];
const COMMAND = '#!/bin/sh\nexec /usr/local/lib/node /usr/local/lib/sluice/dist/sluice.js "$@"\n';

/** For the front of the PATH of a host, where `borg` shall be borg 2. */
export const BORG2 = '/opt/borg2/bin';

/** Becomes the user $1 and runs $2 by bash, as after a login, but without reading anybody's profile. */
const AS_USER = `
[ "$1" = root ] || set -- "$@" setpriv --reuid="$1" --regid="$(id -g "$1")" --init-groups
home=$(getent passwd "$1" | cut -d: -f6) user=$1 code=$2
shift 2
cd "$home" 2>/dev/null || cd /
exec "$@" env -i PATH=${PATH} LANG=C.UTF-8 HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/bash $ENVIRONMENT bash -c "$code"`;

let why: string | false | undefined;

/** Why there can be no hosts here, for `{ skip }`; false if there can. */
export const whyNoHosts = (): string | false => (why ??= lookWhy());

function lookWhy(): string | false {
  if (process.getuid?.() !== 0) return 'hosts are made of namespaces, which takes root: sudo npm test';
  const layers = 'lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w';
  const overlay = `mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w && mount -t overlay -o ${layers} o /mnt`;
  const { status, stderr } = spawnSync('unshare', [...NAMESPACES, '--fork', 'sh', '-c', overlay], { encoding: 'utf8' });
  return status !== 0 && `hosts are made of namespaces and overlays, and there may be none here: ${stderr.trim()}`;
}

export interface RunOptions {
  /** root, if it is not given. */
  readonly user?: string;
  readonly input?: string | Buffer;
}

export class Host {
  readonly name: string;
  /** Variables of all that is run. Without blanks. */
  readonly environment: Record<string, string> = {};
  readonly #init: ChildProcessWithoutNullStreams;
  /** Of its first process, on the machine. */
  readonly pid: number;
  readonly #running = new Set<Promise<unknown>>();

  private constructor(name: string, init: ChildProcessWithoutNullStreams, pid: number) {
    this.name = name;
    this.#init = init;
    this.pid = pid;
  }

  /** @param shows folders or files of the machine, by their place in the host */
  static async start(scope: Scope, name: string, shows: Readonly<Record<string, string>> = {}): Promise<Host> {
    const places = [...SHOWN, ...Object.entries(shows).flatMap(([to, from]) => [from, to])];
    const init = spawn('unshare', [...NAMESPACES, '--fork', '--kill-child', INIT, name, scope.folder(), ...places]);
    const ended = once(init, 'close');
    let [said, pid] = ['', ''];
    init.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await Promise.race([once(init.stdout, 'data').then(([chunk]) => (pid = String(chunk).trim())), ended]);
    assert.match(pid, /^\d+$/, `the host ${name} did not start: ${said}`);
    const host = new Host(name, init, Number(pid));
    scope.defer(() => host.#close(ended));
    await host.write('/usr/local/bin/sluice', COMMAND, { mode: '755' });
    await host.ok(`ln -s ${BORG2_FOLDER} /opt/borg2`);
    return host;
  }

  async #close(ended: Promise<unknown>): Promise<void> {
    this.#init.stdin.end();
    await ended;
    await Promise.all(this.#running);
  }

  /** Starts what bash understands; the host's end is its end. */
  start(code: string, { user = 'root' }: RunOptions = {}): Program {
    const enter = ['--target', String(this.pid), ...NAMESPACES, 'sh', '-c', AS_USER, 'sh', user, code];
    const ENVIRONMENT = Object.entries(this.environment)
      .map((pair) => pair.join('='))
      .join(' ');
    const env = { ...process.env, ENVIRONMENT };
    const child = spawn('nsenter', enter, { env, detached: true }); // a group of its own, for `sendSignal`
    child.stdin.on('error', () => {});
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
    const ended = Promise.all([closed, buffer(child.stdout)]).then(([[status, signal], stdout]): Ran => ({
      code: status,
      signal,
      stdout,
      stderr,
    }));
    this.#running.add(ended);
    return { child, ended, said: () => stderr };
  }

  async run(code: string, { input = '', ...options }: RunOptions = {}): Promise<Ran> {
    const program = this.start(code, options);
    program.child.stdin.end(input);
    const timer = setTimeout(() => sendSignal(program, 'SIGKILL'), LONGEST);
    return program.ended.finally(() => clearTimeout(timer));
  }

  /** Runs it to a good end, and resolves with its standard output. */
  async ok(code: string, options: RunOptions = {}): Promise<string> {
    const ran = await this.run(code, options);
    assert.equal(ran.code, 0, `${options.user ?? 'root'}@${this.name}: ${code}\n${ran.stderr}${ran.stdout.toString()}`);
    return ran.stdout.toString();
  }

  /** Resolves when a command succeeds, which is tried again and again: for what tells nobody of itself. */
  async until(condition: string, options: RunOptions = {}): Promise<void> {
    await this.ok(
      `end=$((SECONDS + 60)); until ${condition}; do [ $SECONDS -lt $end ] || exit 1; sleep 0.05; done`,
      options,
    );
  }

  /** Writes a file as that user, and makes its folder if there is none; `~/` is the user's home. */
  async write(path: string, text: string, { user = 'root', mode = '644' } = {}): Promise<void> {
    const code = `mkdir -p "$(dirname ${path})" && rm -f ${path} && umask 077 && cat >${path} && chmod ${mode} ${path}`;
    await this.ok(code, { user, input: text });
  }
}

/** To what was started, and to all that it started in its group. */
export function sendSignal({ child }: Program, name: NodeJS.Signals): void {
  if (child.pid !== undefined) process.kill(-child.pid, name);
}

/** Resolves with the first of what it says on standard error (earlier words count) that matches. */
export async function untilSaid(program: Program, pattern: RegExp, milliseconds = 60_000): Promise<RegExpMatchArray> {
  const limit = AbortSignal.timeout(milliseconds);
  for (;;) {
    const match = program.said().match(pattern);
    if (match !== null) return match;
    const hasEnded = await Promise.race([
      once(program.child.stderr, 'data', { signal: limit }).then(() => false),
      program.ended.then(() => true),
    ]).catch(() => assert.fail(`${String(pattern)} did not come in ${milliseconds} ms:\n${program.said()}`));
    if (hasEnded && !pattern.test(program.said()))
      assert.fail(`it ended before ${String(pattern)}:\n${program.said()}`);
  }
}
