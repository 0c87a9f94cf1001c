/** Standard input and output of `connect` as a shell gives them: files, devices, nothing at all, a terminal. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { COMMAND, sluice, startSluice } from '../support/command.ts';
import { run, start, untilListening, type Ran } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { seededBytes } from '../support/tree.ts';

assertNothingLeaks();

/** Runs a shell line in which `connect` stands for the built command. */
const shell = (scope: Scope, line: string, cwd = scope.folder()): Promise<Ran> =>
  run(scope, 'sh', ['-c', line.replaceAll('connect', `'${process.execPath}' '${COMMAND}' connect`)], { cwd });

const sent = seededBytes('stdio', 3_000_000);

it('a file goes in and a file comes out, also at the end of one that is there', async (t) => {
  const scope = new Scope(t);
  const folder = scope.folder();
  writeFileSync(join(folder, 'in'), sent);
  writeFileSync(join(folder, 'out'), 'before\n');
  const { code, stderr } = await shell(scope, 'connect exec:cat < in >> out', folder);
  assert.equal(code, 0, stderr);
  assert.ok(readFileSync(join(folder, 'out')).equals(Buffer.concat([Buffer.from('before\n'), sent])));
});

it('a script that has one socket for all its output goes on writing to it after us', async (t) => {
  const { stdout, code } = await shell(new Scope(t), 'connect exec:"echo one" < /dev/null; echo two');
  assert.deepEqual([stdout.toString(), code], ['one\ntwo\n', 0]);
});

describe('nothing of standard input, output or error need be there', () => {
  for (const [line, said] of [
    [`connect 'exec:echo hi' < /dev/null`, 'hi\n'],
    [`connect 'exec:echo hi' <&-`, 'hi\n'],
    [`connect 'exec:echo hi' < /dev/null >&-`, ''],
    [`connect 'exec:sh -c "echo note >&2; echo hi"' < /dev/null 2>&-`, 'hi\n'],
    [`connect -v 'exec:sh -c "echo note >&2; echo hi"' < /dev/null 2> /dev/full`, 'hi\n'],
  ] as const) {
    it(line, async (t) => {
      const { code, stdout, stderr } = await shell(new Scope(t), line);
      assert.deepEqual([code, stdout.toString()], [0, said], stderr);
    });
  }
});

it('a standard output that takes no more is a cut: status 255, and the reason on standard error', async (t) => {
  const { code, stderr } = await shell(new Scope(t), 'head -c 3000000 /dev/zero | connect exec:cat > /dev/full');
  assert.equal(code, 255);
  assert.match(stderr, /cut by the source: ENOSPC/);
});

it('a command that exits ends connect at once, though its input stays open', async (t) => {
  const since = performance.now();
  const { child, ended } = startSluice(new Scope(t), ['connect', `exec:sh -c 'echo hi; exit 4'`]);
  const { code, stdout } = await ended;
  child.stdin.end();
  assert.deepEqual([code, stdout], [4, 'hi\n']);
  assert.ok(performance.now() - since < 5_000);
});

it('on a terminal, too, a command that exits ends connect with its status', async (t) => {
  const line = `'${process.execPath}' '${COMMAND}' connect 'exec:sh -c "echo hi; exit 4"'`;
  const { child, ended } = start(new Scope(t), 'script', ['-qefc', line, '/dev/null']);
  const { code, stdout } = await ended;
  child.stdin.end();
  assert.equal(code, 4);
  assert.match(stdout.toString(), /^hi\r?\n/m);
});

it('standard input and output can be the sink of a link, for one connection', async (t) => {
  const scope = new Scope(t);
  const link = startSluice(scope, ['link', '--once', 'tcp://127.0.0.1:0', 'stdio:']);
  const [, port] = await link.untilStderr(/listening {2}source=tcp:\/\/127\.0\.0\.1:(\d+)/);
  const client = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
  client.end(sent);
  link.child.stdin.end('from the terminal');
  assert.equal((await buffer(client)).toString(), 'from the terminal');
  const { code, stdout, stderr } = await link.ended;
  assert.equal(code, 0, stderr);
  assert.equal(stdout, sent.toString());
});

it('a source of one connection, standard input or a socket that systemd accepted, serves a session to its end', async (t) => {
  const scope = new Scope(t);
  const socket = `${scope.folder()}/s`;
  const slow = `exec:sh -c "sleep 1; cat; exit 3"`; // longer than it takes to hear that no more connections come
  const link = (source: string): string[] => [process.execPath, COMMAND, 'link', `${source}?session=yes`, slow];
  const quoted = link('stdio:').map((word) => `'${word}'`);
  const activated = start(scope, 'systemd-socket-activate', ['--accept', '--listen', socket, ...link('systemd:')]);
  await untilListening(socket);
  for (const to of [`exec:${quoted.join(' ')}`, `unix:${socket}`]) {
    const { code, stdout, stderr } = await sluice(scope, ['rsh', '--to', to, 'any'], 'all of it');
    assert.deepEqual([code, stdout], [3, 'all of it'], `${stderr}${activated.said()}`);
  }
});
