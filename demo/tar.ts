/** The demo where borg is missing: one gateway stores what it is sent, a second one hands it out again, and tar packs. */
import type { Backup, Tree } from './files.ts';
import { files, rate, seconds, show, size } from './show.ts';
import type { Stage } from './stage.ts';

/** Resolves with the folder that holds what came back. */
export async function backupWithTar(stage: Stage, { parent, name, leftOut }: Backup, tree: Tree): Promise<string> {
  const { folder } = stage;
  const moved = (milliseconds: number): string =>
    `${files(tree.hashes.size)}, ${size(tree.bytes)} in ${seconds(milliseconds)}: ${rate(tree.bytes, milliseconds)}`;

  show.step('Two gateways: a WebSocket with TLS on one side, a command on the other');
  const store = await stage.link('wss://127.0.0.1:0/store?cert=self', `exec:dd of=${folder}/backup.tar status=none`);
  const fetch = await stage.link('wss://127.0.0.1:0/fetch?cert=self', `exec:cat ${folder}/backup.tar`);
  stage.export('STORE', store);
  stage.export('FETCH', fetch);

  show.step('The backup');
  const exclude = leftOut === undefined ? '' : `--exclude "${leftOut}" `;
  const packed = await stage.run(`tar -c ${exclude}-C "${parent}" "${name}" | sluice connect "$STORE"`);
  show.result(moved(packed.milliseconds));
  const listed = await stage.run('sluice connect "$FETCH" | tar -t | wc -l');
  show.output(`${listed.output} entries`);

  show.step('The way back');
  const unpacked = await stage.run('mkdir restored && sluice connect "$FETCH" | tar -x -C restored');
  show.result(moved(unpacked.milliseconds));
  return `${folder}/restored`;
}
