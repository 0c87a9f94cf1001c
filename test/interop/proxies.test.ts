/** A WebSocket source behind nginx and HAProxy: a half-close stays one, and a cut is still told from an end. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { COMMAND, sluice, startSluice } from '../support/command.ts';
import { run, startLink, type RunningLink } from '../support/programs.ts';
import { haproxy, nginx, type Proxy } from '../support/proxies.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { seededBytes } from '../support/tree.ts';

assertNothingLeaks();

const sent = seededBytes('proxies', 5_000_000);

/** A source of ours, the proxy in front of it; resolves with the link and the address of the proxy. */
async function behind(
  scope: Scope,
  proxy: Proxy,
  scheme: string,
  command: string,
): Promise<{ link: RunningLink; dial: string }> {
  const path = `${scope.folder()}/s`;
  const link = await startLink(
    scope,
    `${scheme === 'ws' ? 'ws://127.0.0.1:0/borg' : `ws+unix:${path}:/borg`}?resume=off`,
    command,
  );
  const backend = scheme === 'ws' ? new URL(link.address.replace('ws:', 'http:')).host : path;
  return { link, dial: await proxy(scope, backend) };
}

for (const [name, proxy] of Object.entries({ nginx, haproxy })) {
  for (const scheme of ['ws', 'ws+unix']) {
    describe(`a ${scheme} source behind ${name}`, () => {
      it('carries bytes both ways, an end, and a late reply after it', async (t) => {
        const scope = new Scope(t);
        const { dial } = await behind(scope, proxy, scheme, `exec:sh -c 'cat; sleep 0.3; echo more'`);
        const { code, stdout, stderr } = await run(scope, process.execPath, [COMMAND, 'connect', dial], {
          input: sent,
        });
        assert.ok(stdout.equals(Buffer.concat([sent, Buffer.from('more\n')])), stderr);
        assert.equal(code, 0, stderr);
      });

      it('sees the death of the client as a cut: the command gets no end of input', async (t) => {
        const scope = new Scope(t);
        const end = `${scope.folder()}/end`;
        const { link, dial } = await behind(scope, proxy, scheme, `exec:sh -c 'cat; touch ${end}'`);
        const { child } = startSluice(scope, ['connect', dial]);
        child.stdin.write('half a backup');
        await once(child.stdout, 'data');
        child.kill('SIGKILL');
        await link.untilStderr(/closed .*how=cut by=source/);
        assert.equal(existsSync(end), false);
      });

      it('tells the client of a command that was killed: status 255, after its last bytes', async (t) => {
        const scope = new Scope(t);
        const { dial } = await behind(scope, proxy, scheme, `exec:sh -c 'echo half; sleep 0.2; kill -9 $$'`);
        const { child, ended } = startSluice(scope, ['connect', dial]);
        const { code, stdout, stderr } = await ended;
        child.stdin.end();
        assert.deepEqual([code, stdout], [255, 'half\n'], stderr);
        assert.match(stderr, /cut by the sink: .*killed by SIGKILL/);
      });

      it('passes on the source’s answer where the path is not there', async (t) => {
        const scope = new Scope(t);
        const { dial } = await behind(scope, proxy, scheme, 'exec:cat');
        const { code, stderr } = await sluice(scope, ['connect', dial.replace('/borg', '/other')]);
        assert.match(stderr, /the server answered 404 .*there is no such path on the server/);
        assert.equal(code, 255);
      });
    });
  }
}
