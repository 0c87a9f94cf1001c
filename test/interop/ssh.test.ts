/** OpenSSH and rsync through links: a real sshd and a real rsync daemon at the far end. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { certificates } from '../support/certificates.ts';
import { COMMAND } from '../support/command.ts';
import { run, startLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { startSshd } from '../support/sshd.ts';
import { hashTree, makeTree, seededBytes } from '../support/tree.ts';

assertNothingLeaks();

const { ca, server } = certificates();
const wss = `wss://127.0.0.1:0/x?cert=${server.cert}&key=${server.key}`;
const me = userInfo();

it('ssh runs a command through ProxyCommand: bytes both ways, and its exit status', async (t) => {
  const scope = new Scope(t);
  const { port, client } = await startSshd(scope);
  const { address } = await startLink(scope, wss, `tcp://127.0.0.1:${port}`);
  const proxy = `ProxyCommand='${process.execPath}' '${COMMAND}' connect '${address}?ca=${ca}'`;
  const sent = seededBytes('ssh', 5_000_000);
  const args = [...client, '-o', proxy, `${me.username}@gateway`, 'cat; exit 7'];
  const { code, stdout, stderr } = await run(scope, 'ssh', args, { input: sent });
  assert.equal(code, 7, stderr);
  assert.ok(stdout.equals(sent), stderr);
});

/** A configuration of an rsync daemon with one module. */
function rsyncConfig(scope: Scope, module: string): string {
  const file = join(scope.folder(), 'rsyncd.conf');
  const own = `uid = ${me.uid}\ngid = ${me.gid}\nuse chroot = no`;
  writeFileSync(file, `${own}\n[module]\npath = ${module}\nread only = no\n`);
  return file;
}

it('rsync goes up and down through a wss gateway and a daemon that gets the socket itself', async (t) => {
  const scope = new Scope(t);
  const [from, module, back, sockets] = [scope.folder(), scope.folder(), scope.folder(), scope.folder()];
  makeTree(from, 'rsync', 300, 20_000_000);
  const daemon = `exec:rsync --daemon --config=${rsyncConfig(scope, module)}`;
  const inner = await startLink(scope, `unix:${sockets}/rsync`, daemon); // hand-off: rsync wants a socket there
  const { address } = await startLink(scope, wss, inner.address);
  const env = {
    ...process.env,
    RSYNC_CONNECT_PROG: `'${process.execPath}' '${COMMAND}' connect '${address}?ca=${ca}'`,
  };
  for (const [source, target] of [
    [`${from}/`, 'rsync://gateway/module/'],
    ['rsync://gateway/module/', `${back}/`],
  ] as const) {
    const { code, stderr } = await run(scope, 'rsync', ['-a', source, target], { env });
    assert.equal(code, 0, stderr);
  }
  assert.deepEqual(hashTree(back), hashTree(from));
});
