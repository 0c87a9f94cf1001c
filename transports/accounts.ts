/** Users and groups of this system, asked of `getent`, so that LDAP and the like are known too. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

async function entry(database: 'passwd' | 'group', key: string): Promise<string[]> {
  const kind = database === 'passwd' ? 'user' : 'group';
  if (key.startsWith('-') || key === '') throw new Error(`there is no ${kind} ${JSON.stringify(key)}`);
  try {
    const { stdout } = await run('getent', [database, key], { timeout: 5_000 });
    return stdout.trimEnd().split(':');
  } catch (cause) {
    const missing = (cause as { code?: unknown }).code === 2;
    throw new Error(missing ? `there is no ${kind} "${key}"` : `getent ${database} ${key} failed`, { cause });
  }
}

/** @throws Error if there is no such user. `key` is a name or a number. */
export async function findUser(key: string): Promise<Account> {
  const [name = '', , uid, gid, , home = '/', shell] = await entry('passwd', key);
  return { name, uid: Number(uid), gid: Number(gid), home, shell: shell || '/bin/sh' }; // an empty field means it, passwd(5)
}

/** The number of a group. @throws Error if there is none. */
export async function findGroup(key: string): Promise<number> {
  const [, , gid] = await entry('group', key);
  return Number(gid);
}
