/**
 * A page of docs/recipes, run as it stands. The words after a code block's language say where it belongs; readers of the
 * page do not see them:
 *
 *     ```sh host=server user=backup       commands, run to their good end by that user (root, if none is named)
 *     ```sh host=server stays             a command that stays: it has begun when it says `listening`, or what stands
 *                                         after `stays=`, and runs until the hosts are gone
 *     ```yaml host=server file=/etc/x     a file, with `mode=600` and `user=` where they matter
 *     ```text                             shown, not run
 *
 * Commands of one user on one host, with one borg, share their exported variables, as in one terminal. With `borg=2` borg is borg 2.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { BORG2, sendSignal, untilSaid, whyNoHosts, type Host } from './host.ts';
import type { Program } from './programs.ts';

export const RECIPES = join(import.meta.dirname, '../../docs/recipes');

type Hosts = Readonly<Record<string, unknown>>;

export interface Block {
  readonly heading: string;
  readonly language: string;
  readonly words: ReadonlyMap<string, string>;
  readonly text: string;
}

/** All fenced blocks of a page. */
export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  for (const [, title, info, text = ''] of page.matchAll(/^#+ (.+)$|^```(.*)\n([^]*?)^```$/gm)) {
    if (title !== undefined) heading = title;
    if (info === undefined) continue;
    const [language = '', ...words] = info.split(' ');
    const named = words.map((word): [string, string] => [word.split('=')[0] ?? '', word.slice(word.indexOf('=') + 1)]);
    blocks.push({ heading, language, words: new Map(named), text });
  }
  return blocks;
}

const keepExports = (borg: string): string => `
exports=/tmp/.exports-$USER-${borg}
[ ! -f $exports ] || . $exports
trap 'export -p | grep -v " PATH=" >$exports' EXIT
set -euo pipefail
`;

/** A command that stays. It can be ended, and begun anew by the same words. */
export class Staying {
  readonly #begin: () => Program;
  readonly #sign: RegExp;
  program: Program;

  constructor(begin: () => Program, sign: RegExp) {
    this.#begin = begin;
    this.#sign = sign;
    this.program = begin();
  }

  /** Resolves when it has begun. */
  async ready(): Promise<void> {
    await untilSaid(this.program, this.#sign);
  }

  async end(how: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    sendSignal(this.program, how);
    await this.program.ended;
  }

  async beginAnew(): Promise<void> {
    this.program = this.#begin();
    await this.ready();
  }
}

export class Recipe {
  readonly #blocks: readonly Block[];
  readonly #left: Set<Block>;
  /** What stays, in the order of the page. */
  readonly staying: Staying[] = [];

  /** At the end of the test file every block of the page must have been run. */
  constructor(name: string) {
    this.#blocks = blocksOf(readFileSync(join(RECIPES, name), 'utf8')).filter(({ language }) => language !== 'text');
    this.#left = new Set(this.#blocks);
    if (whyNoHosts() === false)
      after(() => assert.deepEqual([...this.#left], [], `the test of ${name} left out some of its blocks`));
  }

  /**
   * Does what stands below one heading; resolves with what its commands said, errors too.
   *
   * @param values what a reader would put in place of some words: the pin that a log told
   */
  async follow(heading: string, hosts: Hosts, values: Readonly<Record<string, string>> = {}): Promise<string> {
    const blocks = this.#blocks.filter((block) => block.heading === heading);
    assert.ok(blocks.length > 0, `there is nothing to run below ${JSON.stringify(heading)}`);
    let said = '';
    for (const block of blocks) {
      this.#left.delete(block);
      const text = Object.entries(values).reduce((old, [word, value]) => old.replaceAll(word, value), block.text);
      said += await this.#perform({ ...block, text }, hosts);
    }
    return said;
  }

  async #perform({ words, text }: Block, hosts: Hosts): Promise<string> {
    const host = hosts[words.get('host') ?? ''] as Host | undefined;
    assert.ok(host, `there is no host ${words.get('host')} for:\n${text}`);
    const user = words.get('user') ?? 'root';
    const file = words.get('file');
    if (file !== undefined) {
      await host.write(file, text, { user, mode: words.get('mode') ?? '644' });
      return '';
    }
    const borg = words.get('borg') ?? '1';
    const code = `${keepExports(borg)}${borg === '2' ? `PATH=${BORG2}:$PATH` : ''}\n${text}`;
    const stays = words.get('stays');
    if (stays === undefined) {
      const said = await host.run(code, { user });
      const all = `${said.stdout.toString()}${said.stderr}`;
      assert.equal(said.code, 0, `${user}@${host.name}:\n${text}\n${all}\n${this.#saidMeanwhile()}`);
      return all;
    }
    const sign = new RegExp(stays === 'stays' ? 'listening' : stays);
    const staying = new Staying(() => host.start(code, { user }), sign);
    this.staying.push(staying);
    await staying.ready();
    return '';
  }

  #saidMeanwhile = (): string => this.staying.map(({ program }) => program.said()).join('\n');
}
