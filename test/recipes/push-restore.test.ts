/** docs/recipes/push-restore.md, as it stands: an archive goes into an empty tree of another machine. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { sendSignal, untilSaid, whyNoHosts, type Host } from '../support/host.ts';
import { makeHosts } from '../support/hosts.ts';
import { Recipe } from '../support/recipe.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const recipe = new Recipe('push-restore.md');

/** Type, rights, owner, second of change, and target of everything below a folder, and what is in its files. */
const LIST = (folder: string): string =>
  `cd ${folder} && find . -mindepth 1 -printf "%y %m %U:%G %Ts %l %P\\n" | sort -k6; find . -type f -print0 | sort -z | xargs -0 sha256sum`;

const fromBase64 = (text: string): Buffer => Buffer.from(text, 'base64');

/** A tree of many owners and kinds, and a repository of it. */
async function prepare(server: Host): Promise<void> {
  await server.ok(`useradd -m borgs && mkdir /srv/tree && cd /srv/tree && mkdir -p "a b" deep/er && touch -d @1000000000 empty
    head -c 3000000 /dev/urandom >"a b/data" && echo text >deep/er/ä && ln -s ../ä deep/link && ln empty deep/hard && mkfifo pipe
    chmod 750 deep && chmod 4755 empty && chown -R 1234:4321 "a b" && chown -h 99:99 deep/link && touch -d @1234567890 deep/er/ä
    export BORG_BASE_DIR=/tmp/base && borg init -e none ~borgs/repository && borg create ~borgs/repository::latest .
    chown -R borgs: ~borgs/repository`);
  server.environment['BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK'] = 'yes';
}

describe('a restore by tar over Sluice', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  let hosts: { machine: Host; server: Host };
  before(async () => {
    hosts = await makeHosts(scope, {
      machine: { ports: [8443], names: ['machine.example'] },
      server: { behindNat: true },
    });
    await prepare(hosts.server);
    await recipe.follow('The machine', hosts);
  });

  it('makes an empty tree equal to the archive: rights, owners, times, links and contents', async () => {
    const { machine, server } = hosts;
    const [, pin = ''] = await untilSaid((recipe.staying[0] ?? assert.fail()).program, /pin=(sha256\/[\w+/=]+)/);
    const token = (await machine.ok('cat /etc/sluice/server.token')).trim();
    await recipe.follow('The backup server', hosts, { 'THE-PIN': pin, 'THE-TOKEN': token });
    assert.equal(await machine.ok(LIST('/srv/restored')), await server.ok(LIST('/srv/tree')));
  });

  it('that is cut in the middle is a cut for tar, which never sees an end of its input', async () => {
    const { machine, server } = hosts;
    const half = server.start('exec sluice rsh --no-resume machine', { user: 'borgs' });
    half.child.stdin.write(await server.ok('tar -C /srv/tree -c . | head -c 100000 | base64').then(fromBase64));
    await machine.until('pgrep --exact tar');
    sendSignal(half, 'SIGKILL');
    const { program } = recipe.staying[0] ?? assert.fail();
    await untilSaid(program, /closed .*how=cut by=source/);
    await half.ended;
  });
});
