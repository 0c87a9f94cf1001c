/** What a user of `sluice rsh` sees of a lost connection, and of a far gateway that knows the session no more. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { start, type Program } from './support/programs.ts';
import { startFar } from './support/rsh.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';
import { Storm } from './support/storm.ts';

assertNothingLeaks();

async function until({ child, said }: Program, pattern: RegExp): Promise<void> {
  while (!pattern.test(said())) await once(child.stderr, 'data', { signal: AbortSignal.timeout(10_000) });
}

const firstOutput = ({ child }: Program): Promise<unknown> => once(child.stdout, 'data');

for (const carrier of ['wss', 'tls'] as const) {
  it(`a far gateway over ${carrier} that was started anew ends what it does not know, and begins nothing again`, async (t) => {
    const scope = new Scope(t);
    const [far, folder] = [await startFar(scope, carrier, '{ shell: "" }'), scope.folder()];
    const command = `echo begun >> ${folder}/begun; head -c 4; cat > ${folder}/file`;
    const rsh = start(scope, far.rsh, ['far', command], { env: far.environment });
    rsh.child.stdin.write('1234half a file'); // and it never ends
    await firstOutput(rsh);
    await far.restart();
    const { code, stderr } = await rsh.ended;
    assert.equal(code, 255);
    assert.match(stderr, /^sluice: [^\n]*unknown session[^\n]*\n$/);
    assert.equal(readFileSync(`${folder}/begun`, 'utf8'), 'begun\n');
    assert.equal((await far.run(['far', 'echo served'])).stdout.toString(), 'served\n');
  });
}

for (const { name, options, lines } of [
  { name: 'with -v tells of a lost connection in a line, and of its recovery in another', options: ['-v'], lines: 1 },
  { name: 'without -v and without a terminal says nothing of a lost connection', options: [], lines: 0 },
]) {
  it(`rsh ${name}`, async (t) => {
    const scope = new Scope(t);
    const storm = new Storm(scope);
    const far = await startFar(scope, 'wss', '{ shell: "" }', { through: storm.through });
    const rsh = start(scope, far.rsh, [...options, 'far', 'cat'], { env: far.environment });
    rsh.child.stdin.write('before');
    await firstOutput(rsh);
    storm.strike();
    await far.gateway.untilStderr(/session resumed/);
    if (lines > 0) await until(rsh, /connection resumed/);
    rsh.child.stdin.end(' and after');
    const { code, stdout, stderr } = await rsh.ended;
    assert.equal(code, 0);
    assert.equal(stdout.toString(), 'before and after');
    assert.equal(stderr.match(/connection lost, redialing/g)?.length ?? 0, lines, stderr);
    assert.equal(stderr.match(/connection resumed .*seconds=/g)?.length ?? 0, lines, stderr);
    if (lines === 0) assert.equal(stderr, '');
  });
}
