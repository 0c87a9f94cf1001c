/** What a client asks for beside its bytes, as the metadata of an OPEN: written by `rsh`, read from a far side. Pure. */
import { LIMITS } from './limits.ts';
import type { Request } from '../plugins/contract/index.ts';

/** Variables that may be carried: nothing that changes what a program does or where it looks for code. */
const CARRIED = /^(?:LANG|LC_[A-Z]+|TERM|GIT_PROTOCOL)$/;

/** What is no name is not carried on: it would end up in an environment. */
const USER = /^[\w.@+-]{1,64}$/;

export const isCarried = (name: string): boolean => CARRIED.test(name);

export const toMetadata = ({ command, environment, user }: Request): Record<string, unknown> => ({
  ...(command && { command: command.toString('base64') }),
  environment,
  ...(user !== undefined && { user }),
});

function readCommand(value: unknown): Buffer | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw new Error('a command that is no text');
  const command = Buffer.from(value, 'base64');
  if (command.length > LIMITS.command) throw new Error(`a command of more than ${LIMITS.command / 1024} KiB`);
  if (command.includes(0)) throw new Error('a command with a NUL character');
  return command;
}

/** Those that may be carried; others are left out, as sshd does. */
function readEnvironment(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  const entries = Object.entries(value).filter(
    (entry): entry is [string, string] => isCarried(entry[0]) && typeof entry[1] === 'string',
  );
  const size = entries.reduce((sum, [name, text]) => sum + name.length + text.length, 0);
  if (size > LIMITS.environment) throw new Error('an environment that is too large');
  if (entries.some(([, text]) => text.includes('\0'))) throw new Error('a variable with a NUL character');
  return Object.fromEntries(entries);
}

/** @throws Error that says what cannot be accepted; for the far side to read */
export function fromMetadata(metadata: Readonly<Record<string, unknown>>): Request {
  const command = readCommand(metadata['command']);
  const user = metadata['user'];
  return {
    environment: readEnvironment(metadata['environment']),
    ...(command && { command }),
    ...(typeof user === 'string' && USER.test(user) && { user }),
  };
}
