/** `abstract:…`: sockets without a file, for those users only who are named. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { it } from 'node:test';
import { transportSuite } from '../../compliance/index.ts';
import abstract from '../../plugins/abstract/index.ts';
import { sluice } from '../support/command.ts';
import { run, start, startLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

await import('koffi'); // it keeps what it has loaded
assertNothingLeaks();

const PLUGIN = ['--plugin', 'sluice/abstract'];
const newName = (): string => `sluice-test-${process.pid}-${Math.floor(performance.now() * 1000)}`;

transportSuite(abstract, { source: (n) => `abstract:${newName()}-${n}` });

it('carries a link, also for socat, and hands the socket to a command', async (t) => {
  const scope = new Scope(t);
  const name = newName();
  const { untilStderr } = await startLink(scope, `abstract:${name}`, 'exec:sh -c "cat; echo end"', ...PLUGIN);
  const { stdout } = await run(scope, 'socat', ['-t5', '-', `ABSTRACT-CONNECT:${name}`], { input: 'hello ' });
  assert.equal(stdout.toString(), 'hello end\n');
  await untilStderr(/opened .*how="handed off"/);
});

it('lets nobody in whose number is not named', async (t) => {
  const scope = new Scope(t);
  const name = newName();
  const { untilStderr } = await startLink(scope, `abstract:${name}?uid=12345`, 'exec:echo in', ...PLUGIN);
  const client = connect(`\0${name}`).on('error', () => {});
  assert.equal(await text(client).catch(() => ''), '');
  await untilStderr(/connection refused .*this user is not allowed/);
});

it('does not talk to a stranger who has taken the name', async (t) => {
  const scope = new Scope(t);
  const name = newName();
  const squatter = start(scope, 'socat', ['-d', '-d', `ABSTRACT-LISTEN:${name},fork`, 'SYSTEM:echo mine']);
  while (!squatter.said().includes('listening')) await once(squatter.child.stderr, 'data');
  const { code, stdout, stderr } = await sluice(scope, ['connect', ...PLUGIN, `abstract:${name}?uid=12345`]);
  assert.deepEqual([code, stdout], [255, '']);
  assert.match(stderr, /user \d+ listens there, who is not allowed/);
});
