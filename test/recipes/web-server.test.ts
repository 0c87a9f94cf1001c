/** docs/recipes/web-server.md, as it stands: borg through nginx and port 443, by WebSocket. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { certificates } from '../support/certificates.ts';
import { whyNoHosts, type Host } from '../support/host.ts';
import { makeHosts } from '../support/hosts.ts';
import { Recipe } from '../support/recipe.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const recipe = new Recipe('web-server.md');
const text = (path: string): string => readFileSync(path, 'utf8');

/** A web server as it was before, with the certificate of backup.example, and a laptop that trusts who has signed it. */
async function prepare({ web, laptop }: { web: Host; laptop: Host }): Promise<void> {
  const { site, ca } = certificates();
  await web.write('/etc/ssl/backup.example.pem', text(site.cert));
  await web.write('/etc/ssl/private/backup.example.key', text(site.key), { mode: '600' });
  await web.ok('mkdir /etc/nginx/sluice.d && nginx');
  await laptop.write('/etc/ssl/authority.pem', text(ca));
  laptop.environment['NODE_EXTRA_CA_CERTS'] = '/etc/ssl/authority.pem';
}

describe('a repository behind nginx', { skip: whyNoHosts() }, () => {
  const scope = new Scope({ after });
  let hosts: Record<'web' | 'laptop' | 'store', Host>;
  before(async () => {
    hosts = await makeHosts(scope, {
      web: { ports: [443], names: ['backup.example'] },
      laptop: { behindNat: true },
      store: { names: ['store.example'] },
    });
    await prepare(hosts);
    await recipe.follow('The repository’s side', hosts);
    await recipe.follow('nginx', hosts);
    await recipe.follow('The laptop', hosts, {
      'THE-TOKEN': (await hosts.web.ok('cat /etc/sluice/laptop.token')).trim(),
    });
  });

  it('a laptop behind a NAT backs up through port 443, and the files are the user backup’s', async () => {
    const { web } = hosts;
    assert.match(await recipe.follow('The backup', hosts), /^first /m);
    assert.notEqual(await web.ok('find /srv/borg/laptop/data -type f'), '');
    assert.equal(await web.ok('find /srv/borg -not -user backup'), '');
  });

  it('so does borg 2, by the other path', async () => {
    assert.match(await recipe.follow('The backup with borg 2', hosts), /\bfirst\b/);
  });

  it('without the token nobody gets further than nginx', async () => {
    const { laptop, web } = hosts;
    const { code, stderr } = await laptop.run('sluice rsh --to wss://backup.example/borg x borg serve');
    assert.equal(code, 255);
    assert.match(stderr, /401/);
    assert.equal(await web.ok('pgrep --count --exact borg || true'), '0\n');
  });

  it('a machine behind the web server sees who comes, by plain WebSocket', async () => {
    const { web, store } = hosts;
    await store.write('/etc/sluice/laptop.token', await web.ok('cat /etc/sluice/laptop.token'), { mode: '600' });
    assert.match(await recipe.follow('A web server before other machines', hosts), /^inside /m);
    assert.notEqual(await store.ok('find /srv/borg/laptop/data -type f'), '');
    assert.match(recipe.staying.at(-1)?.program.said() ?? '', /opened .*identity=laptop/);
  });
});
