/** The command on a Node that is too old says in one line what it needs. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { it } from 'node:test';
import { COMMAND } from '../support/command.ts';
import { run } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const ONE_LINE = /^sluice: needs Node 22\.22 or newer, and this is \d+\.\d+\.\d+; see https:\/\/nodejs\.org\n$/;

const isTooOld = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < 22 || (major === 22 && minor < 22);
};

/** Every other Node that this system has. */
const nodes = [...new Set((process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'node')))]
  .filter((file) => existsSync(file))
  .map((file) => ({ file, version: execFileSync(file, ['-p', 'process.versions.node'], { encoding: 'utf8' }).trim() }));

for (const { file, version } of nodes) {
  it(`on the Node ${version} of this system it ${isTooOld(version) ? 'says what it needs' : 'runs'}: ${file}`, async (t) => {
    const { code, stdout, stderr } = await run(new Scope(t), file, [COMMAND, '--version']);
    if (!isTooOld(version)) return assert.equal(code, 0, stderr);
    assert.match(stderr, ONE_LINE);
    assert.deepEqual([code, stdout.toString()], [255, '']);
  });
}

for (const version of ['12.22.12', '20.20.2', '22.21.9', '22.22.0', '24.0.0', '100.0.0']) {
  it(`a Node that calls itself ${version} ${isTooOld(version) ? 'is refused in one line' : 'is taken'}`, async (t) => {
    const scope = new Scope(t);
    const pretend = join(scope.folder(), 'pretend.cjs');
    const versions = `{ ...process.versions, node: '${version}' }`;
    writeFileSync(pretend, `Object.defineProperty(process, 'versions', { value: ${versions} });`);
    const { code, stderr } = await run(scope, process.execPath, ['-r', pretend, COMMAND, '--version']);
    if (!isTooOld(version)) return assert.equal(code, 0, stderr);
    assert.match(stderr, ONE_LINE);
    assert.equal(code, 255);
  });
}
