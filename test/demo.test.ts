/** `npm run demo`, with few files so that it is quick: what a newcomer reads, and what is left when it is over. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { onlyPrograms } from './support/path.ts';
import { run, start } from './support/programs.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';

assertNothingLeaks();

const PROJECT = join(import.meta.dirname, '..');

/** The demo with `core/` as its files, and a temporary folder of its own. */
function demoIn(scope: Scope, environment: Record<string, string> = {}) {
  const temporary = scope.folder();
  const { FORCE_COLOR: _, ...inherited } = process.env; // the test runner sets it on a terminal
  const env = { ...inherited, TMPDIR: temporary, INIT_CWD: PROJECT, ...environment };
  return { temporary, args: ['demo/backup.ts', 'core'], options: { cwd: PROJECT, env } };
}

/** Of every process there is. */
const commandLines = (): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return ''; // it ended meanwhile
      }
    });

it('the demo backs up with borg through a WebSocket, compares every file, and leaves nothing', async (t) => {
  const scope = new Scope(t);
  const { temporary, args, options } = demoIn(scope);
  const { code, stdout, stderr } = await run(scope, process.execPath, args, options);
  const text = stdout.toString();
  assert.equal(code, 0, `${text}${stderr}`);
  assert.match(text, /^Sluice carries a borg backup of .*core/);
  assert.match(text, /\$ sluice link "wss:.*"exec:borg serve/);
  assert.match(text, /\$ borg init/);
  assert.match(text, /MB\/s/);
  assert.match(text, /SHA-256 of all \d+ files: equal/);
  assert.ok(!text.includes('\u001b'), 'no colour outside a terminal');
  assert.deepEqual(readdirSync(temporary), []);
});

it('where borg is missing the demo says so in its first line and does the same with tar', async (t) => {
  const scope = new Scope(t);
  const bin = onlyPrograms(scope, 'sh', 'tar', 'dd', 'cat', 'wc', 'mkdir');
  const { temporary, args, options } = demoIn(scope, { PATH: bin });
  const { code, stdout, stderr } = await run(scope, process.execPath, args, options);
  const text = stdout.toString();
  assert.equal(code, 0, `${text}${stderr}`);
  assert.match(text, /^borg is not installed here, so tar does the same/);
  assert.match(text, /SHA-256 of all \d+ files: equal/);
  assert.deepEqual(readdirSync(temporary), []);
});

it('Ctrl-C in the middle of the demo leaves no folder and no process', async (t) => {
  const scope = new Scope(t);
  const { temporary, args, options } = demoIn(scope);
  const { child, ended } = start(scope, process.execPath, args, options);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    if (!text.includes('borg create') && (text += chunk.toString()).includes('borg create')) child.kill('SIGINT');
  });
  const { code } = await ended;
  assert.equal(code, 130);
  assert.deepEqual(readdirSync(temporary), []);
  assert.deepEqual(
    commandLines().filter((line) => line.includes(temporary)),
    [],
  );
});
