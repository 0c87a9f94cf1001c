/**
 * `command:PROGRAM ARGUMENTS`: every connection is a program of its own, whose standard input and output are the bytes, as with
 * ssh's ProxyCommand: `ssh -W`, `kubectl exec`, `docker exec`, `adb` become carriers. The line is split as a shell would, and
 * never run by one; the program has our environment and no terminal.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { split } from 'shlex';
import { defineTransport } from 'sluice/plugin';
import { ProgramStream } from './program-stream.ts';

function wordsOf(line: string): readonly string[] {
  try {
    return split(line);
  } catch (cause) {
    throw new Error(`a quote is not closed in ${JSON.stringify(line)}`, { cause });
  }
}

export default defineTransport({
  contract: 1,
  name: 'command',
  schemes: ['command'],
  grammar: 'command:PROGRAM ARGUMENTS',
  summary: 'a program whose standard input and output are the connection, as ssh’s ProxyCommand',
  options: {},
  capabilities: ['half-close', 'diagnostics'],
  caveats: [
    'whether the far side of a command: learns of a cut is up to the program; a session (session=yes) tells it',
  ],
  literal: true,

  parse({ target, words = wordsOf(target) }) {
    const [file, ...args] = words;
    if (file === undefined || file === '') throw new Error('expected a program after "command:"');
    return { file, args };
  },

  async dial({ file, args }, { signal }) {
    signal.throwIfAborted();
    const program = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    await once(program, 'spawn');
    program.on('error', () => {});
    const stream = new ProgramStream(program);
    return { stream, peer: { address: `command[${program.pid}]` }, diagnostics: program.stderr };
  },
});
