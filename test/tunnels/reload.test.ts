/** A gateway whose tunnels change while it runs: what stays keeps its streams, what is gone is over, what is new comes up. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { startSluice, type Running } from '../support/command.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { client } from './stage.ts';

assertNothingLeaks();

interface Site extends Running {
  /** Writes the configuration, reloads it, and waits for `says`. */
  reload(config: string, says?: RegExp): Promise<void>;
}

async function startSite(scope: Scope, config: string): Promise<Site> {
  const file = join(scope.folder(), 'sluice.yaml');
  writeFileSync(file, config, { mode: 0o600 });
  const running = startSluice(scope, ['run', '-c', file]);
  await running.untilStderr(/running {2}config/);
  let reloads = 0;
  return {
    ...running,
    async reload(next, says = /reloaded/) {
      writeFileSync(file, next);
      running.child.kill('SIGHUP');
      reloads += 1;
      await running.untilStderr(new RegExp(`(?:(?:reloaded|was not taken)[^]*){${reloads}}`));
      await running.untilStderr(says);
    },
  };
}

const echo = (name: string): string => `  - { name: ${name}, source: "tunnel:${name}/echo", sink: "exec:cat" }`;

/** Two sites, of which the first listens; a stream runs through the tunnel `one`. */
async function stage(t: TestContext) {
  const scope = new Scope(t);
  const folder = scope.folder();
  const hub = (tunnels: string, links = ''): string => `tunnels:
${tunnels}
links:
  - { name: one, source: "unix:${folder}/one.sock", sink: "tunnel:one/echo" }
${links}`;
  const one = `  one: { listen: "unix:${folder}/one.tunnel" }`;
  const two = `  two: { listen: "unix:${folder}/two.tunnel", wait: 5s }`;
  const dial = (name: string): string => `  ${name}: { dial: "unix:${folder}/${name}.tunnel" }`;
  const office = (...names: string[]): string =>
    `tunnels:\n${names.map(dial).join('\n')}\nlinks:\n${names.map(echo).join('\n')}\n`;
  const server = await startSite(scope, hub(one));
  const far = await startSite(scope, office('one'));
  await far.untilStderr(/tunnel up/);
  const running = client(`${folder}/one.sock`);
  running.write('before');
  assert.equal(String((await once(running, 'data'))[0]), 'before');
  return { folder, hub, one, two, office, server, far, running };
}

describe('a reload of tunnels', () => {
  it('brings up a new one on both sides, and streams of the others go on', async (t) => {
    const { folder, hub, one, two, office, server, far, running } = await stage(t);
    const link = `  - { name: two, source: "unix:${folder}/two.sock", sink: "tunnel:two/echo" }`;
    await server.reload(hub(`${one}\n${two}`, link));
    await far.reload(office('one', 'two'), /tunnel up[^]*tunnel up {2}tunnel=two/);
    const fresh = client(`${folder}/two.sock`);
    fresh.end('through the second');
    assert.equal(await text(fresh), 'through the second');
    running.end(' and after');
    assert.equal(await text(running), ' and after');
  });

  it('ends one that is gone, at the side that dials', async (t) => {
    const { office, far, server, running } = await stage(t);
    await far.reload(office('two'));
    await once(running.resume().end(), 'close');
    await server.untilStderr(/one: closed[^\n]*how=cut/);
  });

  it('ends one that is gone, at the side that listens', async (t) => {
    const { folder, hub, two, far, server } = await stage(t);
    const other = hub(two).replace('tunnel:one/echo', 'tunnel:two/echo');
    await server.reload(other);
    await far.untilStderr(/one: closed[^\n]*how=cut/);
    await far.untilStderr(new RegExp(`cannot be reached[^\n]*${folder}/one.tunnel`));
  });

  it('ends the session of an identity that is not allowed any more, or in another tunnel now', async (t) => {
    const scope = new Scope(t);
    const folder = scope.folder();
    const file = (name: string): string => {
      writeFileSync(join(folder, name), `slu_${name}_0123456789abcdefghij\n`, { mode: 0o600 });
      return join(folder, name);
    };
    const [laptop, desk] = [file('laptop'), file('desk')];
    const hub = (first: string, second: string): string => `identities:
  laptop: { token: "file:${laptop}" }
  desk: { token: "file:${desk}" }
tunnels:
  first: { listen: "unix:${folder}/hub?session=yes", allow: [${first}] }
  second: { listen: "unix:${folder}/hub?session=yes", allow: [${second}] }
links:
  - { name: secret, source: "tunnel:first/secret", sink: "exec:echo secret" }
`;
    const server = await startSite(scope, hub('laptop', 'desk'));
    const far = await startSite(
      scope,
      `tunnels:
  hub: { dial: "unix:${folder}/hub?token=file:${laptop}" }
links:
  - { name: ask, source: "unix:${folder}/ask", sink: "tunnel:hub/secret" }
`,
    );
    await far.untilStderr(/tunnel up/);
    assert.equal(await text(client(`${folder}/ask`).end()), 'secret\n');
    await server.reload(hub('desk', 'laptop'));
    await far.untilStderr(/tunnel up[^]*tunnel up/);
    assert.equal(await text(client(`${folder}/ask`).end()), '');
    await far.untilStderr(/there is no service .*secret.* there are: none/);
  });

  it('changes nothing where the configuration is no good', async (t) => {
    const { hub, one, server, running } = await stage(t);
    await server.reload(hub(one).replace('tunnel:one/echo', 'tunnel:none/echo'), /there is no tunnel \\"none/);
    running.end(' and after');
    assert.equal(await text(running), ' and after');
  });
});
