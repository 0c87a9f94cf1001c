/** docs/recipes/another-user.md, as it stands: root backs up into the repository of another user. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { whyNoHosts, type Host } from '../support/host.ts';
import { makeHosts } from '../support/hosts.ts';
import { Recipe } from '../support/recipe.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

/** What somebody gets who only connects. */
const connect = (socket: string): string => `socat -u OPEN:/dev/null UNIX-CONNECT:${socket}`;

describe('root and the repository of the user backup', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  const recipe = new Recipe('another-user.md');
  let hosts: { here: Host };
  before(async () => {
    hosts = await makeHosts(scope, { here: {} });
    await hosts.here.ok('useradd -m stranger && useradd -m -G adm member && install -m 600 /etc/shadow /home/secret');
    await recipe.follow('The repository', hosts);
  });

  it('the socket has its owner and mode, and nobody but root can connect', async () => {
    const { here } = hosts;
    assert.equal(await here.ok('stat -c "%U %a" /run/borg/repo.sock'), 'root 600\n');
    for (const user of ['stranger', 'backup']) {
      const { code, stderr } = await here.run(connect('/run/borg/repo.sock'), { user });
      assert.notEqual(code, 0);
      assert.match(stderr, /Permission denied/);
    }
    await here.ok(connect('/run/borg/repo.sock'));
  });

  it('root backs up what only root can read, all that is written is backup’s, and it comes back', async () => {
    const { here } = hosts;
    assert.match(await recipe.follow('The backup', hosts), /^first /m);
    assert.equal(await here.ok('find /srv/borg -not -user backup'), '');
    assert.notEqual(await here.ok('find /srv/borg/main/data -type f'), '');
    await recipe.follow('And back', hosts);
    await here.ok('diff -r /home /tmp/restored/home && diff -r /etc/ssl /tmp/restored/etc/ssl');
  });

  it('a group can be let in, and others stay out', async () => {
    const { here } = hosts;
    await recipe.follow('A group instead of root', hosts);
    assert.equal(await here.ok('stat -c "%G %a" /run/borg/group.sock'), 'adm 660\n');
    await here.ok(connect('/run/borg/group.sock'), { user: 'member' });
    assert.match((await here.run(connect('/run/borg/group.sock'), { user: 'stranger' })).stderr, /Permission denied/);
  });

  it('borg 2 does the same by rest://', async () => {
    const { here } = hosts;
    assert.match(await recipe.follow('With borg 2', hosts), /\bfirst\b/);
    assert.equal(await here.ok('find /srv/borg/two -not -user backup'), '');
  });
});
