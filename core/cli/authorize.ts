/**
 * `sluice authorize NAME`: makes a token or a certificate, writes the server's entry, and tells what the client needs. The
 * secret goes into a file for its owner alone, or to standard output where that is asked for; the server keeps a hash, or
 * the pin of a key. `sluice revoke NAME` takes both away; a gateway that runs notices within a second or two.
 */
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ConfigEdit } from '../config/edit.ts';
import { locateConfig, passedOver } from '../config/locate.ts';
import { NAME } from '../names.ts';
import { SluiceError, reasonOf } from '../errors.ts';
import { createFolders } from '../folders.ts';
import { hashToken } from '../token-hash.ts';
import { grant } from './authorize-grants.ts';
import { clientBlock } from './client-block.ts';
import type { AuthorizeFlags, ConfigFlags } from './flags.ts';

const DAYS = 825;
const STDOUT = '-';

function assertName(name: string): void {
  if (!NAME.test(name))
    throw new SluiceError('SLUICE_USAGE', `${JSON.stringify(name)}: expected a name of a-z, 0-9, ".", "_" and "-"`);
}

/** Into a new file for its owner alone, or to standard output. */
async function hand(text: string, to: string): Promise<void> {
  if (to === STDOUT) return void process.stdout.write(text);
  try {
    await writeFile(to, text, { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    throw new SluiceError('SLUICE_TOKEN', `${to}: ${reasonOf(cause)}; name another file by --out`, { cause });
  }
}

/** Where the hash of a token is kept: beside the configuration, and readable by whoever reads that. */
const hashFile = (config: string, name: string): string => join(dirname(config), 'identities', `${name}.token`);

const tokenOf = (config: string, name: string): string => `file:identities/${basename(hashFile(config, name))}`;

/** Stands for a pin until there is one. */
const SOME_PIN = { pin: `sha256/${'A'.repeat(43)}=` };

async function keepHash(config: string, name: string, token: string): Promise<string> {
  const file = hashFile(config, name);
  const { uid, gid, mode } = await stat(config);
  await mkdir(dirname(file), { mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await rm(file, { force: true });
  await writeFile(file, `sha256:${hashToken(token).toString('hex')}\n`, { flag: 'wx', mode: 0o600 });
  await chown(file, uid, gid);
  await chmod(file, 0o600 | (mode & 0o040));
  return tokenOf(config, name);
}

interface Made {
  /** The server's entry. */
  readonly entry: Readonly<Record<string, string>>;
  /** Options of the client's address, or of its host. */
  readonly client: Readonly<Record<string, string>>;
  /** What was written for the client, for people. */
  readonly files: readonly string[];
}

async function makeToken(config: string, name: string, { out = `${name}.token` }: AuthorizeFlags): Promise<Made> {
  const token = `slu_${name}_${randomBytes(32).toString('base64url')}`;
  await hand(`${token}\n`, out);
  const client = { token: `file:~/.config/sluice/${name}.token` };
  return { entry: { token: await keepHash(config, name, token) }, client, files: out === STDOUT ? [] : [out] };
}

async function makeCertificate(name: string, flags: AuthorizeFlags): Promise<Made> {
  const { issueClient } = await import('../../transports/authority.ts');
  const { request, out = name, days = DAYS } = flags;
  if (out === STDOUT)
    throw new SluiceError('SLUICE_USAGE', '--out -: a certificate is two files; name their beginning');
  const asked = request === undefined ? undefined : await readFile(request, 'utf8');
  const { cert, key, pin } = await issueClient(createFolders(process.env).state, { name, days, request: asked });
  await hand(cert, `${out}.pem`);
  if (key !== undefined) await hand(key, `${out}.key`);
  const client = { cert: `~/.config/sluice/${name}.pem`, key: `~/.config/sluice/${name}.key` };
  return { entry: { pin }, client, files: [`${out}.pem`, ...(key === undefined ? [] : [`${out}.key`])] };
}

function assertFree(edit: ConfigEdit, name: string, isReplacing: boolean): void {
  const found = edit.identity(name);
  if (found === undefined || 'revoked' in found || isReplacing) return;
  throw new SluiceError('SLUICE_CONFIG', `there is an identity "${name}" already; --replace takes from it what it has`);
}

export async function runAuthorize(name: string, flags: AuthorizeFlags): Promise<number> {
  assertName(name);
  const config = locateConfig(flags.config, process.env);
  const edit = await ConfigEdit.open(config);
  assertFree(edit, name, flags.replace ?? false);
  const isCertificate = flags.certificate === true || flags.request !== undefined;
  edit.setIdentity(name, isCertificate ? SOME_PIN : { token: tokenOf(config, name) });
  await grant(config, edit, name, flags);
  const made = isCertificate ? await makeCertificate(name, flags) : await makeToken(config, name, flags);
  edit.setIdentity(name, made.entry);
  await edit.save();
  const { keptPin } = await import('../../transports/self-signed.ts');
  const isChanged = (flags.link ?? flags.tunnel) !== undefined;
  const told = await clientBlock(config, name, made, { isChanged, keptPin });
  (flags.out === STDOUT ? process.stderr : process.stdout).write(told);
  return 0;
}

export async function runRevoke(name: string, flags: ConfigFlags): Promise<number> {
  assertName(name);
  const config = locateConfig(flags.config, process.env);
  const edit = await ConfigEdit.open(config);
  if (edit.identity(name) === undefined)
    throw new SluiceError(
      'SLUICE_CONFIG',
      `${config}: there is no identity "${name}"${passedOver(config, process.env)}`,
    );
  edit.setIdentity(name, { revoked: new Date().toISOString().slice(0, 10) });
  await edit.save();
  await rm(hashFile(config, name), { force: true });
  process.stdout.write(
    `${name} is revoked in ${config}: nobody can be it any more. A gateway that runs closes its connections within two seconds.\n`,
  );
  return 0;
}
