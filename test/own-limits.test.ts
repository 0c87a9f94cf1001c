/** Limits that an identity has of its own, on gateways that run. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { it } from 'node:test';
import { Identities } from '../core/identities.ts';
import { hashToken } from '../core/token-hash.ts';
import { startSluice } from './support/command.ts';
import { startGateway } from './support/gateway.ts';
import { freePort } from './support/programs.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';
import { startHub, startOffice } from './tunnels/stage.ts';

assertNothingLeaks();

const tokenOf = (name: string): string => `slu_${name}_0123456789abcdef`;

/** A socket each, from which a session leads to the gateway at the port, with the identity's token. */
async function startClients(scope: Scope, port: number, folder: string, names: readonly string[]) {
  const near = startGateway(scope);
  for (const name of names)
    await near.open(
      `unix:${folder}/${name}.s`,
      `tcp://127.0.0.1:${port}?session=yes&token=file:${folder}/${name}.token`,
    );
  return near;
}

/** Resolves with whether it is served. */
async function isServed(scope: Scope, path: string): Promise<boolean> {
  const socket: Socket = connect({ path }).on('error', () => {});
  scope.defer(() => socket.destroy());
  socket.write('x');
  return new Promise((resolve) => socket.once('data', () => resolve(true)).once('close', () => resolve(false)));
}

it('an identity has limits of its own, the others those of all, and a reload changes them', async (t) => {
  const scope = new Scope(t);
  const [folder, port] = [scope.folder(), await freePort()];
  const file = join(folder, 'sluice.yaml');
  const write = (limits: string): void =>
    writeFileSync(
      file,
      `identities: { laptop: { token: "file:laptop.token"${limits} }, desk: { token: "file:desk.token" } }
limits: { commands-per-identity: 2, commands-waiting: 0 }
links: [ { name: a, source: "tcp://127.0.0.1:${port}?session=yes", sink: "exec:cat", allow: [laptop, desk] } ]
`,
      { mode: 0o600 },
    );
  const names = ['laptop', 'desk'];
  for (const name of names) writeFileSync(join(folder, `${name}.token`), tokenOf(name), { mode: 0o600 });
  write(', limits: { commands-per-identity: 1 }');
  const { child, untilStderr } = startSluice(scope, ['run', '-c', file]);
  await untilStderr(/running {2}config/);
  const near = await startClients(scope, port, folder, names);
  const served = async (name: string, tries: number): Promise<number> => {
    let count = 0;
    for (let at = 0; at < tries; at += 1) count += Number(await isServed(scope, join(folder, `${name}.s`)));
    return count;
  };
  assert.deepEqual([await served('laptop', 2), await served('desk', 3)], [1, 2]);
  assert.match(JSON.stringify(near.log.lines), /1 commands of this identity run.*2 commands of this identity run/);
  write(', limits: { commands-per-identity: 4 }');
  child.kill('SIGHUP');
  await untilStderr(/reloaded {2}config/);
  assert.deepEqual([await served('laptop', 4), await served('desk', 1)], [3, 0]);
});

it('an identity has streams of its own in a session, and a change counts for the session that is there', async (t) => {
  const scope = new Scope(t);
  const folder = scope.folder();
  writeFileSync(join(folder, 'token'), tokenOf('office'), { mode: 0o600 });
  const gateway = startGateway(scope);
  const allow = (streamsPerSession: number): void =>
    gateway.gateway.know(
      new Identities([
        { identity: { name: 'office' }, hash: hashToken(tokenOf('office')), limits: { streamsPerSession } },
      ]),
    );
  const stream = (): Promise<boolean> => isServed(scope, join(folder, 'in'));
  allow(1);
  const hub = await startHub(scope, 'tcp://127.0.0.1:0', { allow: ['office'], gateway });
  await gateway.open('tunnel:office/echo', 'exec:cat');
  const office = await startOffice(scope, [`${hub.address}?token=file:${folder}/token`]);
  await office.gateway.open(`unix:${folder}/in`, 'tunnel:hub/echo');
  assert.deepEqual([await stream(), await stream()], [true, false]);
  assert.match(JSON.stringify(office.gateway.log.lines), /1 streams are open, which is the limit/);
  allow(2);
  assert.deepEqual([await stream(), await stream()], [true, false]);
  assert.match(JSON.stringify(office.gateway.log.lines), /2 streams are open, which is the limit/);
});
