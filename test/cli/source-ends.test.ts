/** A source that ends without having been asked to is a failure, told with its reason; what has come in and other links live on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startSluice, type Running } from '../support/command.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

/** UNIX sockets, until SIGUSR2 comes. */
const FRAIL = (end: string): string => `import { once } from 'node:events';
import { createServer } from 'node:net';
import { defineTransport } from 'sluice/plugin';
export default defineTransport({
  contract: 1, name: 'frail', schemes: ['frail'], grammar: 'frail:PATH', summary: 'ends', options: {}, capabilities: [],
  parse: ({ target, resolvePath }) => ({ path: resolvePath(target) }),
  async listen({ path }, { accept, signal }) {
    const server = createServer({ allowHalfOpen: true }, (stream) => accept({ stream, peer: { address: 'somebody' } }));
    await once(server.listen(path), 'listening');
    const ended = once(process, 'SIGUSR2').then(() => { ${end} });
    const closed = Promise.race([once(signal, 'abort'), ended]).finally(() => server.close());
    return { address: 'frail:' + path, reach: 'local', closed };
  },
});`;

interface Site extends Running {
  dial(name: string): Promise<Socket>;
}

/** A gateway in a folder with the frail plugin, once it says so. */
async function start(
  scope: Scope,
  args: readonly string[],
  ready: RegExp,
  end = 'throw new Error("no cable")',
): Promise<Site> {
  const cwd = scope.folder();
  const links = ['frail', 'unix'].map(
    (scheme) => `  - { name: ${scheme}, source: "${scheme}:./${scheme}", sink: "exec:cat" }\n`,
  );
  writeFileSync(join(cwd, 'frail.ts'), FRAIL(end), { mode: 0o600 });
  writeFileSync(join(cwd, 'both.yaml'), `plugins: ["./frail.ts"]\nlinks:\n${links.join('')}`, { mode: 0o600 });
  writeFileSync(join(cwd, 'one.yaml'), `plugins: ["./frail.ts"]\nlinks:\n${links[0]}`, { mode: 0o600 });
  const running = startSluice(scope, args, { cwd });
  await running.untilStderr(ready);
  const dial = async (name: string): Promise<Socket> => {
    const socket = connect(join(cwd, name)).on('error', () => {});
    scope.defer(() => socket.destroy());
    await once(socket, 'connect');
    return socket;
  };
  return { ...running, dial };
}

async function echoes(socket: Socket): Promise<void> {
  socket.write('hello');
  const [answer] = await once(socket, 'data', { signal: AbortSignal.timeout(5_000) });
  assert.equal(String(answer), 'hello');
}

const LINK = ['link', '--plugin', './frail.ts', 'frail:./frail', 'exec:cat'];
const LISTENING = /listening {2}source=frail/;

describe('a source that ends by itself', () => {
  const ends: [how: string, end: string, reason: RegExp][] = [
    [
      'with an error',
      'throw new Error("no cable")',
      /error frail: the source has ended .*code=SLUICE_LISTEN reason="no cable"/,
    ],
    ['without a word', '', /error frail: the source has ended .*reason="it has closed by itself"/],
  ];
  for (const [how, end, reason] of ends)
    it(`${how} is told, keeps whom it has let in, and fails the link after them`, async (t) => {
      const link = await start(new Scope(t), LINK, LISTENING, end);
      const client = await link.dial('frail');
      await echoes(client);
      link.child.kill('SIGUSR2');
      await link.untilStderr(reason);
      await echoes(client);
      client.end();
      assert.equal((await link.ended).code, 255);
    });

  it('fails a link that has served nobody', async (t) => {
    const link = await start(new Scope(t), [...LINK, '--once'], LISTENING);
    link.child.kill('SIGUSR2');
    assert.equal((await link.ended).code, 255);
  });

  it('leaves the other links of a gateway alone, and is opened again by a reload', async (t) => {
    const gateway = await start(new Scope(t), ['run', '-c', 'both.yaml'], /running {2}config/);
    const clients = [await gateway.dial('frail'), await gateway.dial('unix')];
    gateway.child.kill('SIGUSR2');
    await gateway.untilStderr(/error frail: the source has ended/);
    for (const client of [...clients, await gateway.dial('unix')]) await echoes(client);
    await assert.rejects(gateway.dial('frail'), { code: 'ENOENT' });
    gateway.child.kill('SIGHUP');
    await gateway.untilStderr(/reloaded {2}config/);
    for (const client of [...clients, await gateway.dial('frail')]) await echoes(client);
  });

  it('fails a gateway that has nothing else to do', async (t) => {
    const gateway = await start(new Scope(t), ['run', '-c', 'one.yaml'], /running {2}config/);
    gateway.child.kill('SIGUSR2');
    assert.equal((await gateway.ended).code, 255);
  });

  it('does not fail one that was then stopped', async (t) => {
    const gateway = await start(new Scope(t), ['run', '-c', 'both.yaml'], /running {2}config/);
    gateway.child.kill('SIGUSR2');
    await gateway.untilStderr(/the source has ended/);
    gateway.child.kill('SIGTERM');
    assert.equal((await gateway.ended).code, 0);
  });
});
