/** `shell:` as whom it runs, and what is said of that. */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startFar } from '../support/rsh.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

/** `nobody` may not log in: a `getent` that comes first on the PATH gives it a shell, so that no account need be made. */
function pathWhereNobodyHasAShell(scope: Scope): string {
  const folder = scope.folder();
  const path = process.env['PATH'] ?? '';
  writeFileSync(join(folder, 'getent'), `#!/bin/sh\nPATH='${path}' getent "$@" | sed 's,:[^:]*$,:/bin/sh,'\n`);
  chmodSync(join(folder, 'getent'), 0o755);
  chmodSync(folder, 0o755);
  return `${folder}:${path}`;
}

describe('shell: of a gateway that is root', { skip: process.getuid?.() !== 0 && 'we are not root' }, () => {
  it('is warned of where it has no user, with the names of those who may', async (t) => {
    const far = await startFar(new Scope(t), 'unix', '{ shell: "" }');
    await far.gateway.untilStderr(/warn .*shell: runs any command as root for laptop; give it a "user"/);
    assert.equal((await far.run(['far', 'id -un'])).stdout.toString(), 'root\n');
  });

  it('runs as its user, with that one’s groups and nothing of root’s', async (t) => {
    const scope = new Scope(t);
    const farEnvironment = { PATH: pathWhereNobodyHasAShell(scope) };
    const far = await startFar(scope, 'unix', '{ shell: "", user: nobody }', { farEnvironment });
    const { stdout, stderr } = await far.run(['far', 'id -un; id -Gn; echo $USER $HOME; cat /etc/shadow']);
    assert.equal(stdout.toString(), 'nobody\nnogroup\nnobody /nonexistent\n');
    assert.match(stderr, /shadow: Permission denied/);
  });

  it('runs nothing as a user that may not log in', async (t) => {
    const far = await startFar(new Scope(t), 'unix', '{ shell: "", user: nobody }');
    const { code, stdout } = await far.run(['far', 'id -un']);
    assert.equal(code, 1);
    assert.match(stdout.toString(), /account is currently not available/);
  });
});
