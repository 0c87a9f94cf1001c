/** `borg create` of files that nobody can compress, over ssh and over `sluice rsh`, each to a repository of its own. */
import { createCipheriv, randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { certificate } from './certificate.ts';
import { missing } from './contender.ts';
import { interleave } from './measure.ts';
import type { Part, Setting } from './cases.ts';
import { toRow, type Goal, type Row } from './report.ts';
import { SSH_PROGRAMS, startSsh } from './ssh.ts';
import { Stage } from './stage.ts';

const FILE = 32 * 1024 * 1024;
const BY_SSH = 'borg create over ssh';
const BY_RSH = 'borg create over sluice rsh, wss';

/** What a backup is made of: `bytes` in files of 32 MiB. */
function makeFiles(folder: string, bytes: number): void {
  mkdirSync(folder);
  const zeros = Buffer.alloc(FILE);
  for (let at = 0; at < bytes; at += FILE) {
    const cipher = createCipheriv('aes-128-ctr', randomBytes(16), Buffer.alloc(16));
    writeFileSync(join(folder, `${at / FILE}`), cipher.update(zeros.subarray(0, Math.min(FILE, bytes - at))));
  }
}

/** A far gateway with `shell:` behind wss, for a token; resolves with the remote shell to give to borg. */
async function startRsh(stage: Stage, sluice: readonly string[]): Promise<string> {
  const [node = process.execPath, ...entry] = sluice;
  const { cert, key } = await certificate(stage);
  const token = stage.path('token');
  writeFileSync(token, `${randomBytes(24).toString('hex')}\n`, { mode: 0o600 });
  const file = stage.path('far.yaml');
  const source = `wss://127.0.0.1:0/borg?cert=${cert}&key=${key}`;
  const link = `{ name: far, source: "${source}", sink: { shell: "" }, allow: [bench] }`;
  writeFileSync(file, `identities: { bench: { token: "file:${token}" } }\nlinks: [${link}]\n`, { mode: 0o600 });
  const gateway = stage.start(node, [...entry, 'run', '--log-format', 'json', '-c', file]);
  const [line] = await gateway.until(/^.*"message":"listening".*$/m);
  const { source: bound } = (JSON.parse(line) as { properties: { source: string } }).properties;
  return [...sluice, 'rsh', '--to', `${bound}?ca=${cert}&token=file:${token}`].join(' ');
}

/** MB/s of one create, into a repository that is new. */
async function backUp(stage: Stage, rsh: string, host: string, bytes: number): Promise<number> {
  const repository = stage.path('repository');
  const environment = { BORG_RSH: rsh, BORG_BASE_DIR: stage.path('borg'), BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes' };
  const borg = (...args: string[]): Promise<string> => stage.run('borg', args, '', environment);
  await borg('init', '-e', 'none', `ssh://${host}${repository}`);
  const start = performance.now();
  await borg(
    'create',
    '-C',
    'none',
    '--files-cache',
    'disabled',
    `ssh://${host}${repository}::one`,
    stage.path('files'),
  );
  const seconds = (performance.now() - start) / 1000;
  rmSync(repository, { recursive: true });
  return bytes / 1e6 / seconds;
}

export async function backups({ sluice, bytes: most, rounds, only, progress, stop }: Setting): Promise<Part<Row>> {
  const title = (bytes: number): string => `borg create of ${bytes / 2 ** 20} MiB, medians of ${rounds} rounds`;
  const bytes = Math.min(most, 2 ** 30);
  if (![BY_SSH, BY_RSH].some((name) => only.test(name))) return { title: title(bytes), rows: [], series: [] };
  await using stage = new Stage(stop);
  const lacking = missing({ needs: ['borg', 'openssl', ...SSH_PROGRAMS] });
  if (lacking.length > 0) {
    const failure = `missing: ${lacking.join(', ')} not installed`;
    return { title: title(bytes), rows: [{ name: BY_RSH, failure }], series: [] };
  }
  makeFiles(stage.path('files'), bytes);
  const { options, host } = await startSsh(stage, 'borg');
  const rsh = await startRsh(stage, sluice);
  const subjects = [
    { name: BY_SSH, measure: () => backUp(stage, ['ssh', ...options].join(' '), host, bytes) },
    { name: BY_RSH, measure: () => backUp(stage, rsh, 'any', bytes) },
  ];
  const series = await interleave(subjects, rounds, { progress, isStopped: () => stage.isStopped });
  const goal = (name: string): Goal => (name === BY_RSH ? { rival: BY_SSH, atLeast: 1 } : {});
  return { title: title(bytes), rows: series.map((one) => toRow(one, goal(one.name), series)), series };
}
