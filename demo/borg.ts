/** The demo with borg: the gateway's sink is `borg serve`, and borg reaches it by `sluice rsh`. */
import type { Backup, Tree } from './files.ts';
import { files, rate, seconds, show, size } from './show.ts';
import type { Stage } from './stage.ts';

/** Resolves with the folder that holds what came back. */
export async function backupWithBorg(stage: Stage, { parent, name, leftOut }: Backup, tree: Tree): Promise<string> {
  const { folder } = stage;
  const moved = (milliseconds: number): string =>
    `${files(tree.hashes.size)}, ${size(tree.bytes)} in ${seconds(milliseconds)}: ${rate(tree.bytes, milliseconds)}`;

  show.step('The gateway: a WebSocket with TLS on one side, borg on the other');
  const address = await stage.link('wss://127.0.0.1:0/borg?cert=self', `exec:borg serve --restrict-to-path ${folder}`);
  show.result(`listening on ${address}`);

  show.step('The backup: borg is given "sluice rsh" in place of ssh');
  stage.export('BORG_RSH', `sluice rsh --to ${address}`);
  stage.export('BORG_REPO', `ssh://backup${folder}/repository`);
  await stage.run('borg init --encryption none');
  const exclude = leftOut === undefined ? '' : `--exclude ${leftOut} `;
  const created = await stage.run(`cd "${parent}" && borg create ${exclude}::monday "${name}"`);
  show.result(moved(created.milliseconds));
  show.output((await stage.run('borg list')).output);

  show.step('The way back');
  const extracted = await stage.run('mkdir restored && cd restored && borg extract ::monday');
  show.result(moved(extracted.milliseconds));
  return `${folder}/restored`;
}
