/** What a TLS source agrees to, asked by openssl one offer at a time: versions, groups, and tickets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect } from 'node:tls';
import { certificates, pinOf } from '../support/certificates.ts';
import { startSluice } from '../support/command.ts';
import { freePort, run, startLink, untilListening } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const { ca, server, client } = certificates();
const pair = `cert=${server.cert}&key=${server.key}`;
const own = ['-cert', client.cert, '-key', client.key];

const SOURCES: readonly (readonly [name: string, source: string])[] = [
  ['tls', `tls://127.0.0.1:0?${pair}`],
  ['wss', `wss://127.0.0.1:0/x?${pair}`],
];

const portOf = (address: string): string => /:(\d+)/.exec(address)?.[1] ?? '';

const listen = async (scope: Scope, source: string): Promise<string> =>
  portOf((await startLink(scope, source, 'exec:true', '--allow', 'anyone')).address);

/** To a command it says nothing, and a web server answers it and closes. */
const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

/** What s_client says of one handshake, and of what comes after it, until the source closes. */
async function ask(scope: Scope, port: string, ...offer: string[]): Promise<string> {
  const args = ['s_client', '-ign_eof', '-connect', `127.0.0.1:${port}`, '-CAfile', ca, ...offer];
  const { stdout, stderr } = await run(scope, 'openssl', args, { input: REQUEST });
  return stdout.toString() + stderr;
}

const isDone = (said: string): boolean => /^(?:New|Reused), TLSv1\.3/m.test(said);
const tickets = (said: string): number => said.match(/New Session Ticket arrived/g)?.length ?? 0;

for (const [name, source] of SOURCES) {
  describe(`a ${name} source`, () => {
    it('speaks TLS 1.3, and nothing older', async (t) => {
      const scope = new Scope(t);
      const port = await listen(scope, source);
      assert.ok(isDone(await ask(scope, port, '-tls1_3')));
      for (const version of ['-tls1', '-tls1_1', '-tls1_2']) {
        const said = await ask(scope, port, version, '-cipher', 'ALL:@SECLEVEL=0');
        assert.match(said, /alert protocol version/, version);
        assert.match(said, /^New, \(NONE\)/m);
      }
    });

    it('agrees on sound groups alone', async (t) => {
      const scope = new Scope(t);
      const port = await listen(scope, source);
      const agreed: string[] = [];
      const groups = ['X25519', 'P-256', 'P-384', 'P-521', 'X448', 'ffdhe2048', 'ffdhe3072', 'ffdhe4096', 'ffdhe8192'];
      for (const group of groups) if (isDone(await ask(scope, port, '-groups', group))) agreed.push(group);
      assert.deepEqual(agreed, ['X25519', 'P-256', 'P-384']);
      const hybrid = connect({
        port: Number(port),
        host: '127.0.0.1',
        ecdhCurve: 'X25519MLKEM768',
        checkServerIdentity: () => undefined,
        rejectUnauthorized: false,
      });
      scope.defer(() => hybrid.destroy());
      await once(hybrid, 'secureConnect'); // openssl knows it from 3.5 on, Node has its own
    });

    it('agrees on ciphers that authenticate what they encrypt, AES with 128 bits first', async (t) => {
      const scope = new Scope(t);
      const port = await listen(scope, source);
      for (const cipher of ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'])
        assert.match(
          await ask(scope, port, '-ciphersuites', cipher),
          new RegExp(`^New, TLSv1.3, Cipher is ${cipher}`, 'm'),
        );
      assert.ok(!isDone(await ask(scope, port, '-ciphersuites', 'TLS_AES_128_CCM_8_SHA256')));
      const any = 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256';
      assert.match(await ask(scope, port, '-ciphersuites', any), /Cipher is TLS_AES_128_GCM_SHA256/);
    });

    it('sends tickets to whom it asks for no certificate, and they are good for another handshake', async (t) => {
      const scope = new Scope(t);
      const port = await listen(scope, source);
      const kept = join(scope.folder(), 'session');
      const said = await ask(scope, port, '-sess_out', kept);
      assert.ok(isDone(said) && tickets(said) > 0, said);
      assert.match(await ask(scope, port, '-sess_in', kept), /^Reused, TLSv1.3/m);
    });

    it('sends none where it asks for certificates by their authority, and nobody resumes by another’s', async (t) => {
      const scope = new Scope(t);
      const [plain, asking] = [await listen(scope, source), await listen(scope, `${source}&ca=${ca}`)];
      await assertTicketless(scope, plain, asking);
      const stranger = await ask(scope, asking);
      assert.match(stranger, /certificate required/);
      assert.equal(tickets(stranger), 0);
    });

    it('sends none where it asks for certificates by their keys', async (t) => {
      const scope = new Scope(t);
      const file = join(scope.folder(), 'sluice.yaml');
      const port = String(await freePort());
      const asking = source.replace(':0', `:${port}`);
      writeFileSync(
        file,
        `identities:\n  laptop: { pin: "${pinOf(client)}" }\nlinks:\n  - { name: a, source: "${asking}", sink: { exec: ["true"] }, allow: [laptop] }\n`,
        { mode: 0o600 },
      );
      const { untilStderr } = startSluice(scope, ['run', '-c', file]);
      await untilStderr(/running {2}config/);
      await untilListening(Number(port));
      await assertTicketless(scope, await listen(scope, source), port);
    });
  });
}

/** With its certificate a client comes in, and gets nothing to come in by again; what it has from elsewhere is not taken. */
async function assertTicketless(scope: Scope, plain: string, asking: string): Promise<void> {
  const [kept, foreign] = [join(scope.folder(), 'session'), join(scope.folder(), 'foreign')];
  const said = await ask(scope, asking, '-sess_out', kept, ...own);
  assert.ok(isDone(said), said);
  assert.match(said, /^Acceptable client certificate CA names|^No client certificate CA names sent/m);
  assert.equal(tickets(said), 0, said);
  assert.ok(!existsSync(kept));
  await ask(scope, plain, '-sess_out', foreign);
  assert.ok(existsSync(foreign));
  assert.match(await ask(scope, asking, '-sess_in', foreign, ...own), /^New, TLSv1.3/m);
}
