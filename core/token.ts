/**
 * Tokens, and where they are kept: `file:PATH`, `env:NAME` or `credential:NAME` (of systemd). Never the token itself: an
 * address ends up in process lists, shell histories and logs.
 */
import { join, isAbsolute } from 'node:path';
import { SluiceError, reasonOf } from './errors.ts';
import { readOwnFile } from './own-file.ts';

/** Where a token is kept; paths are absolute. */
export interface TokenReference {
  readonly kind: 'file' | 'env' | 'credential';
  readonly name: string;
}

export const PRINTABLE = /^[\x21-\x7e]{16,256}$/;

/** @throws Error that does not repeat what was given: it may be the token itself */
export function parseTokenReference(
  text: string,
  resolvePath: (path: string) => string,
  what: 'token' | 'secret' = 'token',
): TokenReference {
  const match = /^(file|env|credential):(.+)$/s.exec(text);
  if (match?.[1] === undefined || match[2] === undefined)
    throw new Error(`expected file:PATH, env:NAME or credential:NAME; a ${what} itself has no place in an address`);
  const [kind, name] = [match[1] as TokenReference['kind'], match[2]];
  if (kind === 'credential' && !/^[^/]+$/.test(name)) throw new Error('expected the name of a credential, not a path');
  return { kind, name: kind === 'file' ? resolvePath(name) : name };
}

export const showReference = ({ kind, name }: TokenReference): string => `${kind}:${name}`;

function readVariable(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`the variable ${name} is not set, or empty`);
  return value;
}

function credentialFile(name: string): string {
  const folder = process.env['CREDENTIALS_DIRECTORY'];
  if (folder === undefined || !isAbsolute(folder))
    throw new Error('systemd gave no credentials (CREDENTIALS_DIRECTORY is not set); see LoadCredential=');
  return join(folder, name);
}

async function readLine(reference: TokenReference): Promise<string> {
  const { kind, name } = reference;
  if (kind === 'env') return readVariable(name).trim();
  const path = kind === 'file' ? name : credentialFile(name);
  return (await readOwnFile(path, { isSecret: true })).replace(/\r?\n$/, '');
}

/** What one line holds. @throws SluiceError SLUICE_TOKEN */
export async function takeToken<T>(
  reference: TokenReference,
  take: (line: string) => T | undefined,
  expected: string,
): Promise<T> {
  try {
    const taken = take(await readLine(reference));
    if (taken === undefined) throw new Error(`expected one line of ${expected}`);
    return taken;
  } catch (error) {
    throw new SluiceError('SLUICE_TOKEN', `token ${showReference(reference)}: ${reasonOf(error)}`, { cause: error });
  }
}

/** The token itself, to be shown to a far side. @throws SluiceError SLUICE_TOKEN */
export const readToken = (reference: TokenReference): Promise<string> =>
  takeToken(reference, (line) => (PRINTABLE.test(line) ? line : undefined), '16 to 256 printable characters');

/** For transports: what is kept where an option of theirs says. @throws Error that does not repeat it */
export const readSecretAt = (text: string): Promise<string> => readSecret(parseTokenReference(text, String));

/** A secret that is no token: one line that is not empty. @throws Error that does not repeat it */
export async function readSecret(reference: TokenReference): Promise<string> {
  try {
    const line = await readLine(reference);
    if (line === '' || line.includes('\n')) throw new Error('expected one line');
    return line;
  } catch (cause) {
    throw new Error(`${showReference(reference)}: ${reasonOf(cause)}`, { cause });
  }
}
