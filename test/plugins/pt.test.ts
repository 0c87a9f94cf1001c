/** `pt://…`: Debian's obfs4proxy carries a link, started by the plugin. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { transportSuite } from '../../compliance/index.ts';
import pt from '../../plugins/pt/index.ts';
import { KeptProgram } from '../../plugins/pt/kept.ts';
import { readLine, type Managed } from '../../plugins/pt/managed.ts';
import { encodeArguments } from '../../plugins/pt/socks.ts';
import { sluice, startSluice, type Running } from '../support/command.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

transportSuite(pt, {
  source: () => 'pt://127.0.0.1:0',
  skip: {
    'end-and-cut':
      'obfs4proxy closes both directions with the first end, and drops what is under way; a session repairs it',
  },
});

const PLUGIN = ['--plugin', 'sluice/pt'];

it('obfs4proxy carries a session: bytes, a late reply and the exit status, and nothing of it is on the wire', async (t) => {
  const scope = new Scope(t);
  const env = { ...process.env, XDG_STATE_HOME: scope.folder() };
  const args = ['link', ...PLUGIN, 'pt://127.0.0.1:0?session=yes', 'exec:sh -c "wc -c; exit 4"'];
  const { untilStderr } = startSluice(scope, args, { env });
  const [, address = ''] = await untilStderr(/dial="?(pt:\S+?)"?(?:\s|$)/);
  assert.match(address, /^pt:\/\/127\.0\.0\.1:\d+\?transport=obfs4&arg=cert=.+&arg=iat-mode=0$/);
  const { code, stdout, stderr } = await sluice(
    scope,
    ['connect', ...PLUGIN, `${address}&session=yes`],
    'x'.repeat(300_000),
    { env },
  );
  assert.deepEqual([stdout.trim(), code], ['300000', 4], stderr);
  const port = Number(/:(\d+)\?/.exec(address)?.[1]);
  const stranger = connect(port, '127.0.0.1').on('error', () => {});
  stranger.end('GET / HTTP/1.0\r\n\r\n');
  assert.equal(await text(stranger).catch(() => ''), '', 'who does not know its key gets no answer');
});

it('a program that is not there is told', async (t) => {
  const args = ['link', ...PLUGIN, '--allow', 'anyone', 'pt://127.0.0.1:0?program=no-such-program', 'exec:true'];
  const { code, stderr } = await sluice(new Scope(t), args);
  assert.equal(code, 255);
  assert.match(stderr, /no-such-program: spawn no-such-program ENOENT \[SLUICE_LISTEN\]/);
});

const isObfs4 = (pid: number): boolean => readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('obfs4proxy');

/** What comes back of a word. */
async function says({ child }: Running, word: string): Promise<string> {
  child.stdin.write(word);
  const [answer] = await once(child.stdout, 'data', { signal: AbortSignal.timeout(30_000) });
  return String(answer);
}

async function untilGone(pid: number): Promise<void> {
  for (const until = performance.now() + 5_000; existsSync(`/proc/${pid}`); await sleep(20))
    assert.ok(performance.now() < until, `process ${pid} still runs`);
}

/** The programs that a process has started. */
const childrenOf = (pid: number | undefined): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);

it('an obfs4proxy that dies is started again: the address stays good, and a session comes back', async (t) => {
  const scope = new Scope(t);
  const env = { ...process.env, XDG_STATE_HOME: scope.folder() };
  const link = startSluice(scope, ['link', ...PLUGIN, 'pt://127.0.0.1:0?session=yes', 'exec:cat'], { env });
  const [, address = ''] = await link.untilStderr(/dial="?(pt:\S+?)"?(?:\s|$)/);
  const dial = (): Running => startSluice(scope, ['connect', ...PLUGIN, `${address}&session=yes`], { env });
  const before = dial();
  assert.equal(await says(before, 'one'), 'one');
  for (let death = 1; death <= 2; death += 1) {
    const program = childrenOf(link.child.pid).find(isObfs4) ?? 0;
    process.kill(program, 'SIGKILL');
    await link.untilStderr(new RegExp(`(?:it was killed by SIGKILL[^]*runs again[^]*){${death}}`));
    assert.equal(await says(before, 'two'), 'two');
    assert.equal(await says(dial(), 'three'), 'three');
  }
  const left = childrenOf(link.child.pid).find(isObfs4) ?? 0;
  link.child.kill('SIGTERM');
  await link.untilStderr(/draining/);
  link.child.kill('SIGTERM');
  await link.ended;
  await untilGone(left);
});

/** A program that comes up as it should, until its input ends; the second one does `then`. */
function programThat(scope: Scope, then: string): string {
  const path = join(scope.folder(), 'program');
  const script = `#!/bin/sh
up() { echo "VERSION 1"; echo "SMETHOD obfs4 127.0.0.1:1 ARGS:cert=$1"; exec cat; }
test -e "$TOR_PT_STATE_LOCATION/second" || { touch "$TOR_PT_STATE_LOCATION/second"; up first; }
${then}
`;
  writeFileSync(path, script, { mode: 0o755 });
  return path;
}

it('one that comes back as somebody else fails the link, for its clients know the first', async (t) => {
  const scope = new Scope(t);
  const env = { ...process.env, XDG_STATE_HOME: scope.folder() };
  const source = `pt://127.0.0.1:0?program=${programThat(scope, 'up second')}`;
  const link = startSluice(scope, ['link', ...PLUGIN, '--allow', 'anyone', source, 'exec:cat'], { env });
  await link.untilStderr(/listening/);
  process.kill(childrenOf(link.child.pid)[0] ?? 0, 'SIGKILL');
  const { code, stderr } = await link.ended;
  assert.equal(code, 255);
  assert.match(
    stderr,
    /error pt: the source has ended .*came back as \S+ \(cert=second\), and its clients know \S+ \(cert=first\)/,
  );
});

/** It runs until it is told to die. */
const soundly = (): Managed & { die(): void } => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const die = (): void => resolve('it fell over');
  return { address: '127.0.0.1:1', args: undefined, ended: promise, stop: async () => die(), die };
};

describe('a program that dies', () => {
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  it('is started again as often as there are waits, and then given up with its reason', async () => {
    let starts = 0;
    const first = soundly();
    const kept = new KeptProgram(
      first,
      async () => {
        starts += 1;
        throw new Error('its port is taken');
      },
      log,
    );
    const keeping = kept.keep(new AbortController().signal, [1, 1]);
    first.die();
    await assert.rejects(keeping, { message: 'given up after 2 new starts: its port is taken' });
    assert.equal(starts, 2);
  });

  it('is not given up where it has run well in between', async (t) => {
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    const started = new EventEmitter();
    const first = soundly();
    const stop = new AbortController();
    const start = async (): Promise<Managed> => {
      const next = soundly();
      setImmediate(() => started.emit('next', next));
      return next;
    };
    const kept = new KeptProgram(first, start, log);
    const keeping = kept.keep(stop.signal, [1]);
    for (let turn = 0, current = first; turn < 5; turn += 1) {
      now += 3_600_000;
      current.die();
      [current] = await once(started, 'next');
    }
    stop.abort();
    await keeping;
  });

  it('is ended, too, where it was only just starting when the link was stopped', async () => {
    const first = soundly();
    const late = soundly();
    const starting = Promise.withResolvers<void>();
    const up = Promise.withResolvers<Managed>();
    const start = (): Promise<Managed> => (starting.resolve(), up.promise);
    const kept = new KeptProgram(first, start, log);
    const stop = new AbortController();
    const keeping = kept.keep(stop.signal, [1]);
    first.die();
    await starting.promise;
    stop.abort();
    await keeping;
    const stopped = kept.stop();
    up.resolve(late);
    await stopped;
    assert.equal(await late.ended, 'it fell over');
  });
});

describe('what the program says', () => {
  it('is where it listens, and what its clients have to know', () => {
    assert.deepEqual(readLine('SMETHOD obfs4 127.0.0.1:9 ARGS:cert=a,iat-mode=0', 'obfs4'), {
      address: '127.0.0.1:9',
      args: 'cert=a,iat-mode=0',
    });
    assert.deepEqual(readLine('CMETHOD obfs4 socks5 127.0.0.1:8', 'obfs4'), {
      address: '127.0.0.1:8',
      args: undefined,
    });
    assert.equal(readLine('CMETHODS DONE', 'obfs4'), undefined);
  });
  for (const line of ['ENV-ERROR no state', 'SMETHOD-ERROR obfs4 taken', 'CMETHOD obfs4 socks4 127.0.0.1:8'])
    it(`may be ${line}`, () => assert.throws(() => readLine(line, 'obfs4')));
});

it('arguments are escaped as the specification wants it', () => {
  assert.equal(encodeArguments({ cert: 'a=b;c\\', 'iat-mode': '0' }).toString(), 'cert=a\\=b\\;c\\\\;iat-mode=0');
});
