/** The units in packaging/systemd: systemd has nothing against them, and finds them well shut off. */
import assert from 'node:assert/strict';
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { run } from './support/programs.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';

assertNothingLeaks();

const UNITS = join(import.meta.dirname, '../packaging/systemd');
const SERVICES = ['sluice.service', 'sluice-borg@.service', 'sluice-forward.service'];
const SOCKETS = ['sluice-borg.socket', 'sluice-forward.socket'];

/** sluice.service with the drop-in for switching users. */
const AS_ROOT = 'sluice-as-root.service';

/** Copies whose command is one that is here: systemd looks for it. */
function copies(scope: Scope): string {
  const folder = scope.folder();
  cpSync(UNITS, folder, { recursive: true });
  for (const name of SERVICES) {
    const text = readFileSync(join(folder, name), 'utf8');
    assert.match(text, /^ExecStart=\/usr\/local\/bin\/sluice (run|link) /m);
    writeFileSync(join(folder, name), text.replace('/usr/local/bin/sluice', '/bin/true'));
  }
  const dropIn = readFileSync(join(folder, 'sluice.service.d/switch-users.conf'), 'utf8');
  writeFileSync(join(folder, AS_ROOT), `${readFileSync(join(folder, 'sluice.service'), 'utf8')}\n${dropIn}`);
  rmSync(join(folder, 'sluice.service.d'), { recursive: true }); // else sluice.service would be judged with it
  return folder;
}

it('every unit that ships is one of those that are checked here', () => {
  const found = globSync('*.{service,socket}', { cwd: UNITS });
  assert.deepEqual(new Set(found), new Set([...SERVICES, ...SOCKETS]));
});

it('systemd-analyze verify has no warning', async (t) => {
  const scope = new Scope(t);
  const cwd = copies(scope);
  const units = [...SERVICES, AS_ROOT, ...SOCKETS].map((name) => `./${name}`);
  const { code, stdout, stderr } = await run(scope, 'systemd-analyze', ['verify', '--man=no', ...units], { cwd });
  assert.equal(`${stdout.toString()}${stderr}`, '');
  assert.equal(code, 0);
});

it('systemd-analyze security finds little exposure, also where Sluice may switch users', async (t) => {
  const scope = new Scope(t);
  const cwd = copies(scope);
  for (const name of [...SERVICES, AS_ROOT]) {
    const { stdout, stderr } = await run(scope, 'systemd-analyze', ['security', '--offline=true', name], { cwd });
    const [, exposure] = stdout.toString().match(/Overall exposure level for \S+: ([\d.]+)/) ?? [];
    t.diagnostic(`${name}: exposure ${exposure} of 10`);
    assert.ok(Number(exposure) < 4, `${name}: ${exposure}\n${stderr}`);
  }
});
