/** `exec:` — commands as sinks: how they start, what they see, how they end, and that nothing of them is left. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

interface Asked extends TestGateway {
  readonly client: Socket;
}

/** A gateway with one command, and a client of it that has sent nothing yet. */
async function ask(scope: Scope, command: string, sinkOptions: Record<string, unknown> = {}): Promise<Asked> {
  const test = startGateway(scope);
  const { listener } = await test.open('tcp://127.0.0.1:0', `exec:${command}`, { sinkOptions });
  const [, port] = /:(\d+)$/.exec(listener.address) ?? [];
  const client = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
  scope.defer(() => client.destroy());
  return { ...test, client };
}

async function answer(scope: Scope, command: string, sinkOptions?: Record<string, unknown>): Promise<string> {
  const { client } = await ask(scope, command, sinkOptions);
  client.end();
  return (await buffer(client)).toString();
}

/** Waits until a process is no more: not even as somebody's zombie. */
async function untilGone(pid: number, milliseconds: number): Promise<void> {
  const deadline = performance.now() + milliseconds;
  while (existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) {
    assert.ok(performance.now() < deadline, `process ${pid} still runs`);
    await sleep(20);
  }
}

const firstLine = async (socket: Socket): Promise<string> => String((await once(socket, 'data'))[0]).trim();

const WAYS = { 'handed off': 'auto', 'with pipes': 'never' } as const;

for (const [way, handoff] of Object.entries(WAYS)) {
  describe(`a command ${way}`, () => {
    it('that exits before it has read its input still gets its answer through, and is an end', async (t) => {
      const { client, log } = await ask(new Scope(t), `sh -c 'echo enough; exit 3'`, { handoff });
      client.write(Buffer.alloc(100_000));
      assert.equal((await buffer(client).catch(String)).toString(), 'enough\n');
      const { fields } = await log.untilMessage('closed');
      assert.deepEqual([fields['how'], fields['exit']], ['ended', 3]);
    });

    it('that exits with input unread loses nothing of a long answer to a client that reads late', async (t) => {
      const length = 3_000_000;
      const { client, log } = await ask(new Scope(t), `head -c ${length} /dev/zero`, { handoff });
      client.end(Buffer.alloc(300_000));
      await log.until(({ message }) => message === 'opened');
      await sleep(300); // nothing tells when the kernel's buffers are full
      assert.equal((await buffer(client)).length, length);
      assert.equal((await log.untilMessage('closed')).fields['how'], 'ended');
    });

    it('that a signal kills resets its client', async (t) => {
      const { client, log } = await ask(new Scope(t), `sh -c 'echo half; kill -9 $$'`, { handoff });
      await assert.rejects(buffer(client), { code: 'ECONNRESET' });
      const { fields } = await log.untilMessage('closed');
      assert.deepEqual([fields['how'], fields['by'], fields['signal']], ['cut', 'sink', 'SIGKILL']);
    });

    it('whose grandchild holds its output open does not keep the client waiting', async (t) => {
      const scope = new Scope(t);
      const { client, log } = await ask(scope, `sh -c 'sleep 30 & echo $!; exit 0'`, { handoff });
      client.end();
      const said = (await buffer(client)).toString();
      scope.defer(() => process.kill(Number(said)));
      const { fields } = await log.untilMessage('closed');
      assert.deepEqual([fields['how'], fields['exit']], ['ended', 0]);
      assert.ok(Number(fields['seconds']) < 8);
    });

    it('has its standard error in the log, line by line, with the link’s name', async (t) => {
      const { client, log } = await ask(new Scope(t), `sh -c 'printf "one\\ntwo\\r\\nthree" >&2'`, { handoff });
      client.end();
      await log.untilMessage('stderr', 3);
      const lines = log.lines.filter(({ message }) => message === 'stderr').map(({ fields }) => fields);
      assert.deepEqual(
        lines.map(({ line }) => line),
        ['one', 'two', 'three'],
      );
      assert.deepEqual(new Set(lines.map(({ link }) => link)), new Set(['test']));
    });

    it('that the gateway stops is ended with its grandchildren', async (t) => {
      const { client, gateway } = await ask(new Scope(t), `sh -c 'sleep 60 & echo $!; wait'`, { handoff });
      const grandchild = Number(await firstLine(client));
      await gateway.close(0);
      await untilGone(grandchild, 2_000);
    });
  });
}

it('a cut by the client ends the command with its grandchildren, without an end of input', async (t) => {
  const scope = new Scope(t);
  const end = `${scope.folder()}/end`;
  const script = `trap "touch ${end}.term; exit 1" TERM; sleep 60 & echo $!; cat; touch ${end}`;
  const { client, log } = await ask(scope, `bash -c '${script}'`, { handoff: 'never' });
  const grandchild = Number(await firstLine(client));
  client.resetAndDestroy();
  await untilGone(grandchild, 2_000);
  const { fields } = await log.untilMessage('closed');
  assert.deepEqual([fields['how'], fields['by']], ['cut', 'source']);
  assert.deepEqual([existsSync(end), existsSync(`${end}.term`)], [false, true]);
});

it('a command that ignores TERM is killed after five seconds', { timeout: 20_000 }, async (t) => {
  const script = `trap "" TERM; echo $$; while :; do sleep 0.1; done`;
  const { client, log } = await ask(new Scope(t), `sh -c '${script}'`, { handoff: 'never' });
  const pid = Number(await firstLine(client));
  client.resetAndDestroy();
  const since = performance.now();
  await untilGone(pid, 8_000);
  const seconds = (performance.now() - since) / 1000;
  assert.ok(seconds > 4.5 && seconds < 7, `${seconds} s`);
  assert.equal((await log.untilMessage('closed')).fields['signal'], 'SIGKILL');
});

it('with onAbort=kill a cut is a KILL at once, with onAbort=eof an end of input', async (t) => {
  const scope = new Scope(t);
  const killed = await ask(scope, `sh -c 'trap "" TERM; echo $$; cat'`, { handoff: 'never', onAbort: 'kill' });
  const pid = Number(await firstLine(killed.client));
  killed.client.resetAndDestroy();
  await untilGone(pid, 2_000);
  const file = `${scope.folder()}/end`;
  const ended = await ask(scope, `sh -c 'echo $$; cat; echo ended > ${file}'`, { handoff: 'never', onAbort: 'eof' });
  const other = Number(await firstLine(ended.client));
  ended.client.resetAndDestroy();
  await untilGone(other, 2_000);
  assert.equal(readFileSync(file, 'utf8'), 'ended\n');
});

it('a command that has closed its output and works on is waited for, and ended when the gateway stops', async (t) => {
  const command = `sh -c 'echo $$; exec >&-; sleep 60'`;
  const { client, gateway, log } = await ask(new Scope(t), command, { handoff: 'never' });
  client.end();
  const pid = Number((await buffer(client)).toString());
  assert.ok(existsSync(`/proc/${pid}`));
  await gateway.close(0);
  await untilGone(pid, 2_000);
  assert.equal((await log.untilMessage('closed')).fields['how'], 'cut');
});

it('a flood of standard error neither stops the command nor fills the log', async (t) => {
  const { client, log } = await ask(new Scope(t), `sh -c 'head -c 20000000 /dev/zero | tr "\\\\0" x >&2; echo done'`);
  client.end();
  assert.equal((await buffer(client)).toString(), 'done\n');
  const dropped = (): number => log.lines.reduce((sum, { fields }) => sum + Number(fields['dropped'] ?? 0), 0);
  await log.until(() => dropped() > 3_000);
  const { fields } = await log.untilMessage('closed');
  const lines = log.lines.filter(({ message }) => message === 'stderr').map(({ fields: { line } }) => String(line));
  assert.ok(lines.every((line) => line.length <= 4_096));
  assert.ok(lines.join('').length <= 64 * 1024 + 16 * 1024 * (Number(fields['seconds']) + 1));
});

describe('a command that cannot be started closes its client at once, and the log says why', () => {
  for (const [what, command, options, says] of [
    ['is not there', '/no/such/command', {}, /\/no\/such\/command is not there/],
    ['is not in PATH', 'no-such-command', {}, /command not found: no-such-command/],
    ['is to run in no folder', 'true', { cwd: '/no/such/folder' }, /there is no folder \/no\/such\/folder/],
    ['is to run as nobody known', 'true', { user: 'no-such-user' }, /there is no user "no-such-user"/],
  ] as const) {
    it(`one that ${what}`, async (t) => {
      const { client, log } = await ask(new Scope(t), command, options);
      await assert.rejects(buffer(client), { code: 'ECONNRESET' });
      assert.match(String((await log.untilMessage('closed')).fields['reason']), says);
    });
  }

  it('one whose interpreter is missing', async (t) => {
    const scope = new Scope(t);
    const file = `${scope.folder()}/script`;
    writeFileSync(file, '#!/no/such/interpreter\n', { mode: 0o755 });
    const { client, log } = await ask(scope, file);
    await assert.rejects(buffer(client), { code: 'ECONNRESET' });
    assert.match(String((await log.untilMessage('closed')).fields['reason']), /ENOENT/);
  });
});

it('a command sees a short list of our environment, what the option adds, and who asks', async (t) => {
  process.env['SLUICE_TEST_SECRET'] = 'x';
  process.env['LD_PRELOAD_TEST'] = 'x';
  const text = await answer(new Scope(t), 'env', { env: { ADDED: 'a b', LANG: 'C.UTF-8' } });
  const seen = Object.fromEntries(
    text
      .trimEnd()
      .split('\n')
      .map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)]),
  );
  const allowed = /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|SLUICE_LINK|SLUICE_PEER|ADDED)$/;
  assert.deepEqual(
    Object.keys(seen).filter((name) => !allowed.test(name)),
    [],
  );
  assert.deepEqual([seen['ADDED'], seen['LANG'], seen['SLUICE_LINK']], ['a b', 'C.UTF-8', 'test']);
  assert.match(seen['SLUICE_PEER'] ?? '', /^127\.0\.0\.1:\d+$/);
});

it('a command runs in its folder, and its words are those a shell would make, without a shell', async (t) => {
  const scope = new Scope(t);
  const folder = `${scope.folder()}/a b`;
  mkdirSync(folder);
  assert.equal(await answer(scope, 'pwd', { cwd: folder }), `${folder}\n`);
  assert.equal(await answer(scope, `printf '%s|' 'a  b' "c;d" e\\ f '$HOME' ~ *`), 'a  b|c;d|e f|$HOME|~|*|');
});

it('a command of another user has that user’s numbers and groups, and none of ours; only root can do that', async (t) => {
  const { client, log } = await ask(new Scope(t), 'cat /proc/self/status', { user: 'nobody' });
  client.end();
  if (process.getuid?.() !== 0) {
    await assert.rejects(buffer(client), { code: 'ECONNRESET' });
    assert.match(String((await log.untilMessage('closed')).fields['reason']), /only root can run a command as nobody/);
    return;
  }
  const status = (await buffer(client)).toString();
  const groups = await answer(new Scope(t), 'id -G nobody');
  assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
  assert.match(status, /^Gid:\t65534\t65534\t65534\t65534$/m);
  assert.match(status, new RegExp(`^Groups:\\t${groups.trim()} ?$`, 'm'));
  assert.match(status, /^CapEff:\t0+$/m);
  assert.match(status, /^NoNewPrivs:\t1$/m);
});
