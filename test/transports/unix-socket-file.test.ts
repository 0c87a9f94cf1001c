/** The file of a listening UNIX socket: its rights, its place, its one owner, and that nothing is left of it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { basename, dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { startSluice } from '../support/command.ts';
import { startGateway } from '../support/gateway.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const isRoot = process.getuid?.() === 0;
const rightsOf = (path: string): string => (fs.lstatSync(path).mode & 0o7777).toString(8);
const answerOf = (path: string): Promise<string> => text(connect({ path }));

/** Runs JavaScript in another process until it has said something; the scope ends it. */
async function inProcess(scope: Scope, script: string, ...args: string[]): Promise<ReturnType<typeof spawn>> {
  const child = spawn(process.execPath, ['-e', script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  scope.defer(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

const LISTEN = `require('net').createServer().listen({ path: process.argv[1], backlog: 1 }, () => console.log('up'))`;

/** A socket whose owner was killed. */
async function leaveStale(scope: Scope, path: string): Promise<void> {
  const child = await inProcess(scope, LISTEN, path);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok(fs.lstatSync(path).isSocket());
}

describe('the rights of the socket', () => {
  for (const umask of [0o000, 0o077]) {
    for (const mode of ['0600', '0660', '0666', '0620']) {
      it(`are exactly ${mode} under a umask of ${umask.toString(8).padStart(3, '0')}`, async (t) => {
        const scope = new Scope(t);
        const path = join(scope.folder(), 's');
        const earlier = process.umask(umask);
        scope.defer(() => process.umask(earlier));
        await startGateway(scope).open(`unix:${path}?mode=${mode}`, 'exec:true');
        assert.equal(rightsOf(path), mode.slice(1));
      });
    }
  }

  it('are 0600, and the owner is us, if nothing is said', async (t) => {
    const scope = new Scope(t);
    const path = join(scope.folder(), 's');
    await startGateway(scope).open(`unix:${path}`, 'exec:true');
    const { uid, gid } = fs.lstatSync(path);
    assert.deepEqual([rightsOf(path), uid, gid], ['600', process.getuid?.(), process.getgid?.()]);
  });

  it('are those of the user and group that are named; only root can give a socket away', async (t) => {
    const scope = new Scope(t);
    const path = join(scope.folder(), 's');
    const opening = startGateway(scope).open(`unix:${path}?mode=0660&user=nobody&group=1`, 'exec:true');
    if (!isRoot) return assert.rejects(opening, /EPERM/);
    await opening;
    const { uid, gid } = fs.lstatSync(path);
    assert.deepEqual([rightsOf(path), uid, gid], ['660', 65_534, 1]);
  });

  it('are final from the instant that its name appears', async (t) => {
    const scope = new Scope(t);
    const path = join(scope.folder(), 's');
    const watch = `const { lstatSync } = require('fs'); const seen = new Set(); process.stdout.write('up\\n');
      const end = Date.now() + 700;
      while (Date.now() < end) try { seen.add((lstatSync(process.argv[1]).mode & 0o7777).toString(8)); } catch {}
      process.stdout.write([...seen].join());`;
    const watcher = await inProcess(scope, watch, path);
    const seen = text(watcher.stdout as NodeJS.ReadableStream);
    while (watcher.exitCode === null) {
      const opened = await startGateway(scope).open(`unix:${path}?mode=0640`, 'exec:true');
      opened.stopListening();
      await opened.done;
    }
    assert.equal(await seen, '640');
  });

  for (const [option, says] of [
    ['user=no-such-user', /there is no user "no-such-user"/],
    ['group=no-such-group', /there is no group "no-such-group"/],
  ] as const) {
    it(`with ${option} are refused, and nothing is left`, async (t) => {
      const scope = new Scope(t);
      const folder = scope.folder();
      await assert.rejects(startGateway(scope).open(`unix:${folder}/s?${option}`, 'exec:true'), says);
      assert.deepEqual(fs.readdirSync(folder), []);
    });
  }
});

async function refused(scope: Scope, folder: string, says: RegExp): Promise<void> {
  await assert.rejects(startGateway(scope).open(`unix:${folder}/s`, 'exec:true'), says);
  assert.deepEqual(fs.readdirSync(folder), []);
}

describe('a folder in which others could replace the socket is refused:', () => {
  for (const mode of [0o777, 0o770, 0o1777]) {
    it(`one with the rights ${mode.toString(8)}`, async (t) => {
      const scope = new Scope(t);
      const folder = scope.folder();
      fs.chmodSync(folder, mode);
      await refused(scope, folder, /can be written by others.*mkdir -m 755 .*sluice/);
    });
  }

  it('one below a folder that others can write', async (t) => {
    const scope = new Scope(t);
    const [above, folder] = [scope.folder(), 'inner'];
    fs.mkdirSync(join(above, folder), 0o755);
    fs.chmodSync(above, 0o777);
    await refused(scope, join(above, folder), /can be written by others.*chmod go-w/);
  });

  it('one of another user', async (t) => {
    const scope = new Scope(t);
    const folder = scope.folder();
    if (!isRoot) return assert.throws(() => fs.chownSync(folder, 65_534, 65_534), { code: 'EPERM' });
    fs.chownSync(folder, 65_534, 65_534);
    await refused(scope, folder, /belongs to user 65534, who could replace the socket/);
  });

  it('but a symbolic link to a good folder is followed', async (t) => {
    const scope = new Scope(t);
    const [real, links] = [scope.folder(), scope.folder()];
    fs.symlinkSync(real, join(links, 'link'));
    const { listener } = await startGateway(scope).open(`unix:${links}/link/s`, 'exec:echo hi');
    assert.equal(listener.address, `unix:${fs.realpathSync(real)}/s`);
    assert.equal(await answerOf(join(links, 'link/s')), 'hi\n');
  });
});

describe('what stands at the path', () => {
  it('is replaced if it is a stale socket', async (t) => {
    const scope = new Scope(t);
    const path = join(scope.folder(), 's');
    await leaveStale(scope, path);
    const { open, log } = startGateway(scope);
    await open(`unix:${path}`, 'exec:echo hi');
    await log.untilMessage('a stale socket is replaced');
    assert.equal(await answerOf(path), 'hi\n');
  });

  it('is left alone if it is a live socket, also one whose backlog is full', async (t) => {
    const scope = new Scope(t);
    const path = join(scope.folder(), 's');
    const busy = `${LISTEN}.on('listening', () => setTimeout(() => { for (;;); }, 50))`;
    await inProcess(scope, busy, path);
    for (let full = false; !full;) {
      const filler = connect({ path });
      scope.defer(() => filler.destroy());
      full = await once(filler, 'connect').then(
        () => false,
        ({ code }) => code === 'EAGAIN',
      );
    }
    const { ino } = fs.lstatSync(path);
    await assert.rejects(startGateway(scope).open(`unix:${path}`, 'exec:true'), /another program listens there/);
    assert.equal(fs.lstatSync(path).ino, ino);
  });

  it('is left alone if it is a file, a folder or a link', async (t) => {
    const scope = new Scope(t);
    const folder = scope.folder();
    fs.writeFileSync(join(folder, 'file'), 'precious');
    fs.mkdirSync(join(folder, 'folder'));
    fs.symlinkSync('nowhere', join(folder, 'link'));
    for (const name of ['file', 'folder', 'link']) {
      const opening = startGateway(scope).open(`unix:${folder}/${name}`, 'exec:true');
      await assert.rejects(opening, /something that is not a socket stands there; it is left alone/);
    }
    assert.deepEqual(fs.readdirSync(folder), ['file', 'folder', 'link']);
    assert.equal(fs.readFileSync(join(folder, 'file'), 'utf8'), 'precious');
  });
});

it('of two that start at once over a stale socket one listens, twenty times of twenty', async (t) => {
  const scope = new Scope(t);
  const folder = scope.folder();
  const env = { ...process.env, XDG_RUNTIME_DIR: scope.folder() };
  for (let round = 0; round < 20; round += 1) {
    const path = join(folder, `s${round}`);
    await leaveStale(scope, path);
    const both = [1, 2].map((n) => startSluice(scope, ['link', `unix:${path}`, `exec:echo ${n}`], { env }));
    const loser = await Promise.race(both.map(async (one) => ((await one.ended).code, one)));
    const winner = both.find((one) => one !== loser);
    assert.match((await loser.ended).stderr, /another (?:sluice|program) listens there/);
    await winner?.untilStderr(/listening/);
    assert.equal(await answerOf(path), `${winner === both[0] ? 1 : 2}\n`);
    winner?.child.kill('SIGTERM');
    assert.equal((await winner?.ended)?.code, 0);
  }
  assert.deepEqual(fs.readdirSync(folder), []);
});

describe('when the listener stops', () => {
  it('its file goes, and nothing else is left in the folder', async (t) => {
    const scope = new Scope(t);
    const folder = scope.folder();
    const opened = await startGateway(scope).open(`unix:${folder}/s`, 'exec:true');
    assert.deepEqual(fs.readdirSync(folder), ['s']);
    opened.stopListening();
    await opened.done;
    assert.deepEqual(fs.readdirSync(folder), []);
  });

  it('a successor’s socket at the path stays, and serves', async (t) => {
    const scope = new Scope(t);
    const path = join(scope.folder(), 's');
    const opened = await startGateway(scope).open(`unix:${path}`, 'exec:true');
    const successor = createServer((socket) => socket.end('successor')).listen(`${path}2`);
    await once(successor, 'listening');
    scope.defer(() => successor.close());
    fs.renameSync(`${path}2`, path);
    opened.stopListening();
    await opened.done;
    assert.equal(await answerOf(path), 'successor');
  });

  it('by a second signal its file goes too', async (t) => {
    const scope = new Scope(t);
    const folder = scope.folder();
    const link = startSluice(scope, ['link', `unix:${folder}/s`, `exec:sleep 60`]);
    await link.untilStderr(/listening/);
    scope.defer(() => client.destroy());
    const client = connect(`${folder}/s`);
    await link.untilStderr(/opened/);
    link.child.kill('SIGTERM');
    await link.untilStderr(/draining/);
    link.child.kill('SIGTERM');
    assert.equal((await link.ended).code, 143);
    assert.deepEqual(fs.readdirSync(folder), []);
  });
});

it('what a killed start has left beside the path is swept, once it is old', async (t) => {
  const scope = new Scope(t);
  const folder = scope.folder();
  const [old, young] = [join(folder, '.sl-aaaaaa'), join(folder, '.sl-bbbbbb')];
  for (const path of [old, young]) fs.mkdirSync(path, 0o700);
  await leaveStale(scope, join(old, 's'));
  fs.utimesSync(old, 0, 0);
  await startGateway(scope).open(`unix:${folder}/s`, 'exec:true');
  assert.deepEqual(fs.readdirSync(folder).toSorted(), [basename(young), 's']);
});

it('the longest path that the system takes, in bytes, is bound as it is', async (t) => {
  const scope = new Scope(t);
  const folder = scope.folder();
  const room = 107 - Buffer.byteLength(folder) - 1;
  const name = 'ü'.repeat(Math.floor(room / 2)) + 'x'.repeat(room % 2);
  const path = join(folder, name);
  assert.equal(Buffer.byteLength(path), 107);
  await startGateway(scope).open(`unix:${path}`, 'exec:echo hi');
  assert.deepEqual(fs.readdirSync(folder), [name]);
  assert.equal(await answerOf(path), 'hi\n');
  await assert.rejects(async () => startGateway(scope).open(`unix:${path}x`, 'exec:true'), /is 108 bytes long/);
  assert.equal(dirname(path), folder);
});
