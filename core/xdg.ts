/** The XDG base directories. By their specification a variable counts only if it is absolute: an empty one, or one that
 * is relative, would lead into the working directory, which may be somebody else's. */
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

export const baseDirectory = (environment: Environment, name: string): string | undefined => {
  const value = environment[name];
  return value !== undefined && isAbsolute(value) ? value : undefined;
};

/** The variable's folder, or its default below the user's home. */
export const baseOrHome = (environment: Environment, name: string, below: string): string =>
  baseDirectory(environment, name) ?? join(homedir(), below);
