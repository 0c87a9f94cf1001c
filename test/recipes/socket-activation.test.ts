/** docs/recipes/socket-activation.md, as it stands: borg serve starts when somebody connects, by both kinds of units. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { whyNoHosts, type Host } from '../support/host.ts';
import { makeHosts } from '../support/hosts.ts';
import { Recipe } from '../support/recipe.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const recipe = new Recipe('socket-activation.md');

/** How often a log says it. */
const count = (log: string | undefined, words: RegExp): number => [...(log ?? '').matchAll(words)].length;

describe('borg serve by socket activation', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  let hosts: { here: Host };
  before(async () => {
    hosts = await makeHosts(scope, { here: {} });
    await recipe.follow('borg serve on demand, by socket activation', hosts);
    await recipe.follow('A process for every connection', hosts);
    await recipe.follow('One process for all connections', hosts);
  });

  it('systemd has nothing against the units', async () => {
    assert.equal(await recipe.follow('Are they right?', hosts), '');
  });

  it('both kinds start nothing before somebody connects; then each backs up', async () => {
    const { here } = hosts;
    await recipe.follow('To try it without systemd’s help', hosts);
    assert.equal((await here.run('pgrep --full "sluice.js link"')).code, 1);
    assert.match(await recipe.follow('The backup', hosts), /^each [^]*^shared /m);
    assert.equal(await here.ok('find /srv/borg -not -user backup'), '');
  });

  it('the one had a process for every connection, the other one for all', async () => {
    const [each, shared] = recipe.staying.map(({ program }) => program.said());
    assert.equal(count(each, /Spawned/g), 2);
    assert.equal(count(each, /died with code 0/g), 2);
    assert.equal(count(shared, / listening /g), 1);
    assert.equal(count(shared, / opened /g), 2);
    assert.equal(count(await hosts.here.ok('pgrep --full "sluice.js link"'), /\d+/g), 1);
  });
});
