/** `sluice tunnel`, `sluice run` with tunnels, and what a far side's command finds within its reach: real processes. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { COMMAND, sluice, startSluice, type Ended, type Running } from '../support/command.ts';
import { run } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { hashTree, makeTree } from '../support/tree.ts';
import { client } from './stage.ts';

assertNothingLeaks();

const BORG = { BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes', BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes' };

interface Stage {
  readonly scope: Scope;
  readonly folder: string;
  /** Where private sockets of commands are made. */
  readonly temporary: string;
  readonly environment: NodeJS.ProcessEnv;
  file(name: string, text: string): string;
}

function stage(t: TestContext): Stage {
  const scope = new Scope(t);
  const folder = scope.folder();
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary, { mode: 0o700 });
  const environment = { ...process.env, ...BORG, HOME: folder, TMPDIR: temporary, BORG_BASE_DIR: folder };
  const file = (name: string, contents: string): string => {
    writeFileSync(join(folder, name), contents, { mode: 0o600 });
    return join(folder, name);
  };
  return { scope, folder, temporary, environment, file };
}

/** A client's gateway that listens for a server, and lets it run the command `backup`. */
async function startClient({ scope, folder, file, environment }: Stage, script: string): Promise<Running> {
  const path = file('backup.sh', `set -e\n${script}\n`);
  const config = file(
    'client.yaml',
    `tunnels: { server: { listen: "unix:${folder}/client.sock" } }
links:
  - { name: backup, source: "tunnel:server/backup", sink: { exec: [sh, ${path}], env: { HOME: "${folder}", ${envOf(environment)} } } }
`,
  );
  const gateway = startSluice(scope, ['run', '-c', config], { env: environment });
  await gateway.untilStderr(/running/);
  return gateway;
}

const envOf = (environment: NodeJS.ProcessEnv): string =>
  ['BORG_BASE_DIR', ...Object.keys(BORG)].map((name) => `${name}: "${environment[name]}"`).join(', ');

const leftovers = (folder: string): string[] =>
  readdirSync(folder).filter((name) => name.startsWith('sluice-services'));

describe('the one-command pull', () => {
  it('runs the client’s own backup into a repository of the server, and ends with its status', async (t) => {
    const at = stage(t);
    const tree = at.scope.folder();
    makeTree(tree, 'pull', 40, 2_000_000);
    await startClient(
      at,
      `borg init -e none ssh://repo${at.folder}/repo
       borg create ssh://repo${at.folder}/repo::one ${tree}
       echo done; echo to standard error >&2; exit 5`,
    );
    const pull = await sluice(
      at.scope,
      [
        'tunnel',
        `unix:${at.folder}/client.sock`,
        '--serve',
        `repo=exec:borg serve --restrict-to-path ${at.folder}/repo`,
        '--run',
        'backup',
      ],
      '',
      { env: at.environment },
    );
    assert.deepEqual([pull.code, pull.stdout], [5, 'done\n'], pull.stderr);
    assert.match(pull.stderr, /to standard error/);
    const out = at.scope.folder();
    const extract = await run(at.scope, 'borg', ['extract', `${at.folder}/repo::one`], {
      cwd: out,
      env: at.environment,
    });
    assert.equal(extract.code, 0, extract.stderr);
    assert.deepEqual(hashTree(join(out, tree)), hashTree(tree));
    assert.deepEqual(leftovers(at.temporary), []);
  });

  it('leaves no socket and no command behind when it is killed', async (t) => {
    const at = stage(t);
    const gateway = await startClient(at, `echo $$; exec sleep 100`);
    const pull = startSluice(
      at.scope,
      ['tunnel', `unix:${at.folder}/client.sock`, '--serve', 'repo=exec:cat', '--run', 'backup'],
      { env: at.environment },
    );
    const pid = await new Promise<number>((resolve) => pull.child.stdout.once('data', (line) => resolve(Number(line))));
    assert.equal(leftovers(at.temporary).length, 1);
    pull.child.kill('SIGKILL');
    await gateway.untilStderr(/backup: closed .*how=cut/);
    await gone(() => existsSync(`/proc/${pid}`) || leftovers(at.temporary).length > 0);
  });

  it('warns of a service that cannot be given yet', async (t) => {
    const at = stage(t);
    await startClient(at, 'true');
    const pull = await sluice(
      at.scope,
      ['tunnel', `unix:${at.folder}/client.sock`, '--serve', 'repo=exec:no-such-thing', '--run', 'backup'],
      '',
      { env: at.environment },
    );
    assert.match(pull.stderr, /the sink is not ready .*command not found: no-such-thing/);
    assert.equal(pull.code, 0);
  });

  it('tells a service that the client does not have, and its names', async (t) => {
    const at = stage(t);
    await startClient(at, 'true');
    const pull = await sluice(at.scope, ['tunnel', `unix:${at.folder}/client.sock`, '--run', 'bakup'], '', {
      env: at.environment,
    });
    assert.equal(pull.code, 255);
    assert.match(pull.stderr, /^sluice: there is no service "bakup" in this tunnel; there are: backup \[SLUICE_DIAL\]/);
  });

  it('works over a program that reaches the client, where sluice has no gateway there', async (t) => {
    const at = stage(t);
    const far = `${process.execPath} ${COMMAND} tunnel stdio: --serve "backup=exec:sh -c 'cat >&2; echo $(ls $SLUICE_SERVICES)'"`;
    const pull = await sluice(
      at.scope,
      ['tunnel', `exec:${far}`, '--serve', 'repo=exec:cat', '--run', 'backup'],
      'input',
      { env: at.environment },
    );
    assert.deepEqual([pull.code, pull.stdout], [0, 'repo.sock\n'], pull.stderr);
    assert.match(pull.stderr, /^input/m);
    assert.deepEqual(leftovers(at.temporary), []);
  });

  it('reads what it offers from the tunnel of a configuration that listens on stdio:', async (t) => {
    const at = stage(t);
    const config = at.file(
      'far.yaml',
      `tunnels: { server: { listen: "stdio:" } }
links:
  - { name: backup, source: "tunnel:server/backup", sink: "exec:echo from the file" }
  - { name: other, source: "unix:${at.folder}/other.sock", sink: "exec:cat" }
`,
    );
    const far = `${process.execPath} ${COMMAND} tunnel stdio: -c ${config}`;
    const pull = await sluice(at.scope, ['tunnel', `exec:${far}`, '--run', 'backup'], '', { env: at.environment });
    assert.deepEqual([pull.code, pull.stdout], [0, 'from the file\n'], pull.stderr);
    assert.ok(!existsSync(`${at.folder}/other.sock`));
  });

  it('ends with 255 and one line where the far side cannot be reached, and shows what the program said', async (t) => {
    const at = stage(t);
    const pull = await sluice(at.scope, ['tunnel', `exec:sh -c "echo no route >&2; exit 1"`, '--run', 'backup'], '', {
      env: at.environment,
    });
    assert.equal(pull.code, 255);
    assert.match(pull.stderr, /line="no route"/);
    assert.match(pull.stderr, /sluice: the far side of the tunnel: .* \[SLUICE_DIAL\]\n$/);
  });
});

describe('sluice tunnel --open', () => {
  it('reaches a service of the far side by a socket, which goes with it', async (t) => {
    const at = stage(t);
    await startClient(at, 'cat');
    const path = `${at.folder}/near.sock`;
    const tunnel = startSluice(at.scope, ['tunnel', `unix:${at.folder}/client.sock`, '--open', `unix:${path}=backup`], {
      env: at.environment,
    });
    await tunnel.untilStderr(/tunnel up/);
    const socket = client(path);
    socket.end('through');
    assert.equal(await text(socket), 'through');
    tunnel.child.kill('SIGTERM');
    assert.equal((await tunnel.ended).code, 0);
    assert.ok(!existsSync(path));
  });

  for (const [what, args, message] of [
    ['nothing to do', [], /a tunnel for nothing/],
    ['a service that is a path', ['--open', 'unix:/x=../etc'], /expected SOURCE=NAME/],
    ['a sink without a name', ['--serve', 'exec:cat'], /expected NAME=SINK/],
    ['one name twice', ['--serve', 'a=exec:cat', '--serve', 'a=exec:cat'], /"a" is given twice/],
  ] as const) {
    it(`refuses ${what}`, async (t) => {
      const refused = await sluice(new Scope(t), ['tunnel', 'unix:/nowhere', ...args]);
      assert.equal(refused.code, 255);
      assert.match(refused.stderr, message);
    });
  }
});

describe('several tunnels at one address', () => {
  it('are told apart by who comes in, and nobody else does', async (t) => {
    const at = stage(t);
    const tokens = ['one', 'two', 'three'].map((name) => at.file(name, `slu_${name}_0123456789abcdefghij\n`));
    const config = at.file(
      'hub.yaml',
      `identities: { one: { token: "file:${tokens[0]}" }, two: { token: "file:${tokens[1]}" }, three: { token: "file:${tokens[2]}" } }
tunnels:
  first: { listen: "tls://127.0.0.1:0?cert=self", allow: [one] }
  second: { listen: "tls://127.0.0.1:0?cert=self", allow: [two] }
links:
  - { name: a, source: "tunnel:first/who", sink: "exec:echo the first" }
  - { name: b, source: "tunnel:second/who", sink: "exec:sh -c 'echo the second, $SLUICE_IDENTITY'" }
`,
    );
    const hub = startSluice(at.scope, ['run', '-c', config], { env: at.environment });
    const [, address] = await hub.untilStderr(/dial=(tls:\S+)/);
    const ask = async (token: string | undefined): Promise<Ended> =>
      sluice(at.scope, ['tunnel', `${address}&token=file:${token}`, '--run', 'who'], '', { env: at.environment });
    const [one, two, three] = await Promise.all(tokens.map(ask));
    assert.deepEqual([one?.stdout, two?.stdout], ['the first\n', 'the second, two\n'], one?.stderr);
    assert.equal(three?.code, 255);
    assert.match(three?.stderr ?? '', /not allowed \[SLUICE_DENIED\]/);
    await hub.untilStderr(/three is not allowed/);
  });
});

describe('a command that a far side has started', () => {
  it('reaches by BORG_RSH just the services of the session that started it', async (t) => {
    const at = stage(t);
    await startClient(at, 'read line; $BORG_RSH who; $BORG_RSH nobody || echo status $?');
    const pull = (who: string) =>
      startSluice(
        at.scope,
        ['tunnel', `unix:${at.folder}/client.sock`, '--serve', `who=exec:echo ${who}`, '--run', 'backup'],
        { env: at.environment },
      );
    const [one, two] = [pull('one'), pull('two')];
    for (const { child } of [one, two]) child.stdin.end('go\n');
    const [first, second] = await Promise.all([one.ended, two.ended]);
    assert.deepEqual([first.stdout, second.stdout], ['one\nstatus 255\n', 'two\nstatus 255\n'], first.stderr);
    assert.match(first.stderr, /there is no service "nobody"; this link offers: default, who/);
  });

  it(
    'finds a socket for each service, which nobody else can use',
    { skip: process.getuid?.() !== 0 && 'only root can start commands as others' },
    async (t) => {
      const at = stage(t);
      chmodSync(at.folder, 0o755);
      chmodSync(at.temporary, 0o711);
      const script = at.file('as-nobody.sh', 'id -un; stat -c "%U %a" $SLUICE_SERVICES/*.sock; $BORG_RSH who');
      chmodSync(script, 0o644);
      const config = at.file(
        'far.yaml',
        `tunnels: { server: { listen: "unix:${at.folder}/far.sock" } }
links:
  - { name: it, source: "tunnel:server/it", sink: { exec: [sh, ${script}], user: nobody } }
`,
      );
      const gateway = startSluice(at.scope, ['run', '-c', config], { env: at.environment });
      await gateway.untilStderr(/running/);
      const pull = await sluice(
        at.scope,
        ['tunnel', `unix:${at.folder}/far.sock`, '--serve', 'who=exec:id -un', '--run', 'it'],
        '',
        { env: at.environment },
      );
      assert.equal(pull.stdout, 'nobody\nnobody 600\nroot\n', pull.stderr);
    },
  );
});

/** Resolves when it is so no more. */
async function gone(is: () => boolean): Promise<void> {
  for (const until = performance.now() + 8_000; is(); await new Promise((resolve) => setTimeout(resolve, 20)))
    assert.ok(performance.now() < until, 'it is still there');
}
