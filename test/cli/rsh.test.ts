/** `sluice rsh` does what its callers expect of ssh: output, standard error, status and ends; and says what went wrong. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { sluice } from '../support/command.ts';
import { addOption } from '../support/borg.ts';
import { RSH_CARRIERS, startFar } from '../support/rsh.ts';
import { run, start, startLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const SHELL = '{ shell: "" }';

describe('a far command that reads to the end, waits, writes to both and ends with 7', () => {
  for (const carrier of RSH_CARRIERS) {
    it(`is seen so over ${carrier}`, async (t) => {
      const far = await startFar(new Scope(t), carrier, SHELL);
      const command = 'cat; sleep 2; echo out; echo err >&2; exit 7';
      const { code, stdout, stderr } = await far.run(['far', command], 'all of the input\n');
      assert.equal(stdout.toString(), 'all of the input\nout\n');
      assert.equal(stderr, 'err\n');
      assert.equal(code, 7);
    });
  }
});

describe('rsh carries', () => {
  it('the command byte for byte, also where it is no text', async (t) => {
    const far = await startFar(new Scope(t), 'unix', SHELL);
    const script = `exec "$0" far "$(printf "printf %%s '\\\\377\\\\303\\\\244 \\\\\\\\ \\"x\\"'")"`;
    const { stdout } = await run(new Scope(t), 'sh', ['-c', script, far.rsh], { env: far.environment });
    assert.deepEqual(stdout, Buffer.from([0xff, 0xc3, 0xa4, 0x20, 0x5c, 0x20, 0x22, 0x78, 0x22]));
  });

  it('words joined by single blanks, never quoted again', async (t) => {
    const far = await startFar(new Scope(t), 'unix', SHELL);
    assert.equal((await far.run(['far', 'printf', "'%s|'", 'a b', "'c d'"])).stdout.toString(), 'a|b|c d|');
  });

  it('it to a forced command as SSH_ORIGINAL_COMMAND, with who asks; and never what loads code', async (t) => {
    const scope = new Scope(t);
    const far = await startFar(scope, 'tls', '{ exec: [env] }');
    const { stdout } = await run(
      scope,
      far.rsh,
      ['-o', 'SendEnv=LD_* GIT_PROTOCOL', '-o', 'SetEnv=LC_X=1 BASH_ENV=/x', 'me@far', 'a', 'b'],
      {
        env: { ...far.environment, LD_LIBRARY_PATH_X: '/x', GIT_PROTOCOL: 'version=2' },
      },
    );
    const lines = stdout.toString().split('\n');
    for (const wanted of [
      'SSH_ORIGINAL_COMMAND=a b',
      'SLUICE_IDENTITY=laptop',
      'SLUICE_USER=me',
      'GIT_PROTOCOL=version=2',
      'LC_X=1',
    ])
      assert.ok(lines.includes(wanted), `${wanted} in ${stdout.toString()}`);
    assert.doesNotMatch(stdout.toString(), /^(?:LD_|BASH_ENV|SSH_AUTH_SOCK|SLUICE_TOKEN)/m);
  });

  it('no input with -n', async (t) => {
    const far = await startFar(new Scope(t), 'unix', SHELL);
    assert.equal((await far.run(['-n', 'far', 'wc -c'], 'not read')).stdout.toString().trim(), '0');
  });

  it('the shell’s own input where there is no command', async (t) => {
    const far = await startFar(new Scope(t), 'unix', SHELL);
    const { stdout, code } = await far.run(['far'], 'echo $((6 * 7))\nexit 4\n');
    assert.deepEqual([stdout.toString(), code], ['42\n', 4]);
  });
});

describe('a far command is cut, and not left behind,', () => {
  const waiting = 'echo ready; trap "exit 0" TERM; sleep 60 & wait';

  for (const [signal, status] of [
    ['SIGTERM', 143],
    ['SIGUSR1', 138],
  ] as const) {
    it(`when its client gets ${signal}, also after the end of its input; and no debugger is opened`, async (t) => {
      const scope = new Scope(t);
      const far = await startFar(scope, 'wss', SHELL);
      const client = start(scope, far.rsh, ['far', waiting], { env: far.environment });
      client.child.stdin.end('all of it');
      await once(client.child.stdout, 'data');
      client.child.kill(signal);
      const { code, stderr } = await client.ended;
      assert.equal(code, status);
      assert.doesNotMatch(stderr, /Debugger/);
      await far.gateway.untilStderr(/closed .*how=cut by=source/);
    });
  }

  it('at once when a client that would not come back is gone', async (t) => {
    const scope = new Scope(t);
    const far = await startFar(scope, 'tls', SHELL, { options: ['--no-resume'] });
    const client = start(scope, far.rsh, ['far', waiting], { env: far.environment });
    await once(client.child.stdout, 'data');
    client.child.kill('SIGKILL');
    await far.gateway.untilStderr(/closed .*how=cut by=source/);
  });
});

it('all of a far command’s standard error arrives, however slowly it is read', async (t) => {
  const scope = new Scope(t);
  const far = await startFar(scope, 'wss', SHELL);
  const command = 'head -c 3000000 /dev/zero >&2; exit 3';
  const { stdout } = await run(
    scope,
    'sh',
    ['-c', `'${far.rsh}' far '${command}' 2>&1 >/dev/null </dev/null | (sleep 1; wc -c)`],
    {
      env: far.environment,
    },
  );
  assert.equal(stdout.toString().trim(), '3000000');
});

describe('rsh ends', () => {
  it('with 255 where a signal killed the far command, as ssh does', async (t) => {
    const far = await startFar(new Scope(t), 'wss', SHELL);
    const { code, stderr } = await far.run(['far', 'kill -KILL $$']);
    assert.equal(code, 255);
    assert.match(stderr, /killed by SIGKILL/);
  });

  it('at once when the far command does, whatever is still typed', async (t) => {
    const scope = new Scope(t);
    const far = await startFar(scope, 'tls', SHELL);
    const typing = start(scope, far.rsh, ['far', 'head -1; exit 5'], { env: far.environment });
    typing.child.stdin.write('x\n'); // and never an end
    const { stdout, code } = await typing.ended;
    assert.deepEqual([stdout.toString(), code], ['x\n', 5]);
  });

  it('with 0 for -G, by which git asks whether it is an ssh', async (t) => {
    const far = await startFar(new Scope(t), 'unix', SHELL);
    assert.equal((await far.run(['-G', '-o', 'SendEnv=GIT_PROTOCOL', 'anywhere'])).code, 0);
  });
});

const oneLine = (stderr: string): string => {
  assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
  return stderr;
};

describe('rsh says in one line, and ends with 255,', () => {
  it('which hosts there are, for one that is unknown', async (t) => {
    const far = await startFar(new Scope(t), 'unix', SHELL);
    const { code, stderr } = await far.run(['fat', 'true']);
    assert.equal(code, 255);
    assert.match(oneLine(stderr), /there is no host "fat" in \S+ \(hosts: far\); or name the sink: --to ADDRESS/);
  });

  it('which services there are, for one that is unknown', async (t) => {
    const far = await startFar(new Scope(t), 'tls', '{ exec: [cat] }', { link: 'services: { echo: "exec:cat" }' });
    const { code, stderr } = await far.run(['-s', 'far', 'sftp']);
    assert.equal(code, 255);
    assert.match(oneLine(stderr), /there is no service "sftp"; this link offers: default, echo/);
  });

  it('that a token was refused, and not why; the far log has the peer', async (t) => {
    for (const carrier of ['tls', 'wss', 'unix'] as const) {
      const scope = new Scope(t);
      const far = await startFar(scope, carrier, SHELL);
      const other = join(scope.folder(), 'other');
      writeFileSync(other, 'slu_other_0123456789abcdefghij\n', { mode: 0o600 });
      const to = far.address.replace(/token=file:[^&]+/, `token=file:${other}`);
      const { code, stderr } = await far.run(['--to', to, 'any', 'true']);
      assert.equal(code, 255);
      assert.match(oneLine(stderr), carrier === 'wss' ? /answered 401/ : /not allowed/);
      await far.gateway.untilStderr(/refused {2}peer=(?:127\.0\.0\.1:\d+|unix)/);
    }
  });

  it('what it got from a far side that speaks no session', async (t) => {
    const scope = new Scope(t);
    const plain = await startLink(scope, `unix:${scope.folder()}/s`, 'exec:echo SSH-2.0-OpenSSH_9.2');
    const far = await startFar(scope, 'unix', SHELL);
    const { code, stderr } = await far.run(['--to', plain.address, 'any', 'true']);
    assert.equal(code, 255);
    assert.match(oneLine(stderr), /does not speak the session.*SSH-2\.0-OpenSSH_9\.2/);
    const ws = await startLink(scope, 'ws://127.0.0.1:0/x?session=no', 'exec:cat');
    const overWs = await far.run(['--to', ws.address, 'any', 'true']);
    assert.match(oneLine(overWs.stderr), /speaks plain bytes there, and not the session/);
  });

  it('what a tired administrator mistypes', async (t) => {
    const far = await startFar(new Scope(t), 'unix', SHELL);
    for (const [args, message] of [
      [['-L', '1:x:2', 'far'], /-L \(a local forward; use "sluice link"\) is not available here/],
      [['-tt', 'far'], /-tt \(a forced terminal\)/],
      [['--port', '22', 'far'], /unknown option --port/],
      [[], /there is no host/],
      [['-s', 'far'], /-s wants the name of a subsystem/],
      [['--to', 'unix:/none/s', 'any'], /ENOENT/],
    ] as const) {
      const { code, stderr } = await far.run(args);
      assert.equal(code, 255, stderr);
      assert.match(oneLine(stderr), message);
    }
  });

  it('a far command that is not there, without where the far side has looked', async (t) => {
    const scope = new Scope(t);
    const source = `unix:${scope.folder()}/s`;
    const link = await startLink(scope, `${source}?session=yes`, 'exec:no-such-thing');
    const { code, stderr } = await sluice(scope, ['rsh', '--to', source, 'any', 'x']);
    assert.match(oneLine(stderr), /command not found: no-such-thing \[/);
    assert.equal(code, 255);
    await link.untilStderr(/command not found: no-such-thing \(looked in \//);
  });

  it('that a token would be sent unencrypted', async (t) => {
    const far = await startFar(new Scope(t), 'unix', SHELL);
    const { code, stderr } = await far.run(['--to', addOption('ws://192.0.2.1/x', 'token=env:TOKEN'), 'any']);
    assert.equal(code, 78);
    assert.match(stderr, /a token would be sent unencrypted; use tls or wss, or a loopback address/);
  });
});
