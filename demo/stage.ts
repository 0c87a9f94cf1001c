/** Where the demo plays: one temporary folder, the gateways and commands that run in it, and nothing once it is over. */
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Line, type Environment } from './processes.ts';
import { show } from './show.ts';

const COMMAND = join(import.meta.dirname, '../dist/sluice.js');

/** A log line of the gateway that the demo reads. */
interface LogLine {
  readonly message: string;
  readonly properties: { readonly dial?: string; readonly in?: number; readonly out?: number };
}

/** The caller's environment without settings of borg and Sluice, and with every folder of theirs inside the stage. */
const environmentIn = (folder: string): Environment => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(BORG|SLUICE)_/.test(name))),
  PATH: `${join(folder, 'bin')}:${process.env['PATH']}`,
  XDG_STATE_HOME: join(folder, 'state'),
  XDG_RUNTIME_DIR: join(folder, 'runtime'),
  XDG_CACHE_HOME: join(folder, 'cache'),
  BORG_BASE_DIR: join(folder, 'borg'),
});

export class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-demo-'));
  readonly #env = { ...environmentIn(this.folder) };
  readonly #lines = new Set<Line>();
  readonly #stopped: AbortSignal;
  /** Bytes that gateways have carried, both ways together. */
  carried = 0;

  constructor(stopped: AbortSignal) {
    this.#stopped = stopped;
    const command = join(this.folder, 'bin/sluice');
    mkdirSync(join(this.folder, 'bin'));
    writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${COMMAND}' "$@"\n`);
    chmodSync(command, 0o755);
  }

  /** For all commands that follow. */
  export(name: string, value: string): void {
    show.command(`export ${name}="${value}"`);
    this.#env[name] = value;
  }

  /** Shows the line, runs it, and tells what it wrote and how long it took. */
  async run(line: string): Promise<{ readonly output: string; readonly milliseconds: number }> {
    show.command(line);
    const begin = performance.now();
    const output = await this.#start(line).output();
    return { output, milliseconds: performance.now() - begin };
  }

  /** Shows `sluice link SOURCE SINK`, starts it, and resolves with the address that its clients dial. */
  async link(source: string, sink: string): Promise<string> {
    const flags = `"${source}" "${sink}"`;
    show.command(`sluice link ${flags}`);
    const gateway = this.#start(`exec sluice link --log-format json ${flags}`);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const said: string[] = [];
    createInterface(gateway.child.stderr).on('line', (line) => {
      said.push(line);
      const { message, properties } = readLog(line);
      if (message === 'listening') resolve(properties.dial ?? source);
      this.carried += (properties.in ?? 0) + (properties.out ?? 0);
    });
    gateway.child.once('close', () => reject(new Error(`the gateway ended:\n${said.join('\n')}`)));
    return promise;
  }

  #start(line: string): Line {
    this.#stopped.throwIfAborted();
    const started = new Line(line, this.folder, this.#env);
    this.#lines.add(started);
    this.#stopped.addEventListener('abort', () => void started.stop(), { once: true });
    return started;
  }

  /** Ends and removes everything. Latest first: whoever dials goes before the gateway that it dials. */
  async strike(): Promise<void> {
    for (const line of [...this.#lines].toReversed()) await line.stop();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function readLog(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { message: line, properties: {} };
  }
}
