/** A server that is killed in the middle of a pull: the run fails, nothing is broken, and the next one succeeds. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { certificates } from '../support/certificates.ts';
import { startSluice, type Running } from '../support/command.ts';
import { freePort, run } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const TOKEN = 'slu_office_0123456789abcdefghij';
const { ca, server } = certificates();

/** A backup that takes some seconds, and says when borg has ended and how. */
const BACKUP = `borg init -e none ssh://repo$1 2>/dev/null
(for i in $(seq $2); do head -c 200000 /dev/urandom || exit; sleep 0.05; done) | borg create --lock-wait 5 ssh://repo$1::$(date +%s%N) -
echo borg ended with $?`;

describe('a server killed in the middle of a backup that it has started', () => {
  it('leaves a sound repository without a lock, and its next run succeeds', async (t) => {
    const scope = new Scope(t);
    const folder = scope.folder();
    const [port, repository, socket, temporary] = [
      await freePort(),
      `${folder}/repo`,
      `${folder}/start.sock`,
      `${folder}/tmp`,
    ];
    mkdirSync(temporary, { mode: 0o700 });
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    };
    const token = file('token', `${TOKEN}\n`);
    const hub = file(
      'server.yaml',
      `identities: { office: { token: "file:${token}" } }
tunnels: { office: { listen: "wss://127.0.0.1:${port}/tunnel?cert=${server.cert}&key=${server.key}", allow: [office], wait: 30s } }
links:
  - { name: repo, source: "tunnel:office/repo", sink: "exec:borg serve --restrict-to-path ${repository}" }
  - { name: start, source: "unix:${socket}?session=yes", sink: "tunnel:office/backup" }
`,
    );
    const script = file('backup.sh', BACKUP);
    const office = file(
      'office.yaml',
      `tunnels: { hub: { dial: "wss://127.0.0.1:${port}/tunnel?ca=${ca}", token: "file:${token}" } }
links:
  - { name: long, source: "tunnel:hub/backup", sink: { exec: [sh, ${script}, "${repository}", "60"], env: { HOME: "${folder}", BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: "yes" } } }
`,
    );
    const environment = { ...process.env, HOME: folder, TMPDIR: temporary, BORG_BASE_DIR: folder };
    const start = (config: string): Running => startSluice(scope, ['run', '-c', config], { env: environment });
    const pull = (): Running => startSluice(scope, ['connect', `unix:${socket}?session=yes`], { env: environment });

    const first = start(hub);
    await first.untilStderr(/running/);
    const client = start(office);
    await client.untilStderr(/tunnel up/);
    const interrupted = pull();
    await first.untilStderr(/repo: opened[^\n]*\n[^]*repo: opened/); // init, and then create
    await new Promise<void>((resolve) => setTimeout(resolve, 500)); // some of the backup has passed: nothing tells how much
    first.child.kill('SIGKILL');
    assert.notEqual((await interrupted.ended).code, 0);

    const second = start(hub);
    await client.untilStderr(/tunnel up[^]*tunnel up/, 5_000);
    await client.untilStderr(/long: closed[^\n]*how=cut/);
    const check = await run(scope, 'borg', ['check', '--lock-wait', '5', repository], {
      env: {
        ...environment,
        BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes',
        BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
      },
    });
    assert.equal(check.code, 0, check.stderr);
    const locks = readdirSync(repository).filter((name) => name.startsWith('lock.'));
    assert.deepEqual(
      locks.filter((name) => name === 'lock.exclusive'),
      [],
    );

    const next = pull();
    const { code, stdout, stderr } = await next.ended;
    assert.deepEqual([code, stdout], [0, 'borg ended with 0\n'], stderr);
    second.child.kill('SIGTERM');
    assert.equal((await second.ended).code, 0);
    client.child.kill('SIGTERM');
    assert.equal((await client.ended).code, 0);
    assert.ok(!existsSync(socket));
    assert.deepEqual(readdirSync(temporary), []);
  });
});
