/** Who may connect: whoever may not is refused before anything of the sink is touched, whatever they speak. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { Identities } from '../core/identities.ts';
import { dialSession } from '../core/session/dialer.ts';
import { hashToken } from '../core/token-hash.ts';
import { certificates } from './support/certificates.ts';
import { startGateway } from './support/gateway.ts';
import { guard, readThrough } from './support/guarded.ts';
import { run } from './support/programs.ts';
import { Scope, assertNothingLeaks } from './support/scope.ts';

assertNothingLeaks();

const TOKENS = {
  laptop: 'slu_laptop_0123456789abcdef',
  desk: 'slu_desk_0123456789abcdef',
  nobody: 'slu_nobody_0123456789abc',
};

const identities = new Identities(
  (['laptop', 'desk'] as const).map((name) => ({ identity: { name }, hash: hashToken(TOKENS[name]) })),
);

/** A far gateway whose link is for `laptop`, before a backend that greets and counts who came. */
async function guarded(t: TestContext, source: string) {
  const scope = new Scope(t);
  return { scope, ...(await guard(scope, source, identities)) };
}

const { ca, server } = certificates();
const pair = `cert=${server.cert}&key=${server.key}`;
const PLACES: [source: (folder: string) => string, dialed: string][] = [
  [(folder) => `unix:${folder}/g?session=yes`, 'session=yes'],
  [() => 'tcp://127.0.0.1:0?session=yes', 'session=yes'],
  [() => `tls://127.0.0.1:0?${pair}`, `ca=${ca}`],
  [() => 'ws://127.0.0.1:0/x', 'ping=20s'],
  [() => `wss://127.0.0.1:0/x?${pair}`, `ca=${ca}`],
  [() => `wss://127.0.0.1:0/x?session=no&${pair}`, `session=no&ca=${ca}`],
];

describe('a link that is for one identity', () => {
  for (const [source, dialed] of PLACES) {
    const name = source('').replace(/cert=.*/, '');
    for (const who of ['laptop', 'desk', 'nobody', 'none'] as const) {
      it(`at ${name} ${who === 'laptop' ? 'serves' : 'refuses'} ${who}`, async (t) => {
        const { scope, far, address, accepted } = await guarded(t, source(new Scope(t).folder()));
        const file = join(scope.folder(), 'token');
        writeFileSync(file, who === 'none' ? '' : TOKENS[who], { mode: 0o600 });
        const token = who === 'none' ? '' : `&token=file:${file}`;
        const got = await readThrough(scope, startGateway(scope), `${address}?${dialed}${token}`);
        assert.equal(got, who === 'laptop' ? 'hello' : '');
        assert.equal(accepted(), who === 'laptop' ? 1 : 0);
        const said = far.log.lines.map((line) => JSON.stringify(line)).join('\n');
        if (who !== 'laptop') assert.match(said, /refused/);
        for (const secret of Object.values(TOKENS)) assert.ok(!said.includes(secret), 'a token is in the log');
      });
    }
  }

  it('refuses a plain peer that has no way to prove who it is', async (t) => {
    const { scope, accepted } = await guarded(t, `tls://127.0.0.1:0?${pair}`).then(async (made) => {
      const near = startGateway(made.scope);
      assert.equal(await readThrough(made.scope, near, `${made.address}?session=no&ca=${ca}`), '');
      return made;
    });
    assert.equal(accepted(), 0);
    assert.ok(scope);
  });

  it('answers a web client 401 before any upgrade, and 101 with its token', async (t) => {
    const { scope, address, accepted } = await guarded(t, 'ws://127.0.0.1:0/x');
    const url = address.replace('ws:', 'http:');
    const upgrade = [
      '-s',
      '-o',
      '/dev/null',
      '-m',
      '2',
      '-w',
      '%{http_code}',
      '-H',
      'Connection: Upgrade',
      '-H',
      'Upgrade: websocket',
    ];
    const key = ['-H', 'Sec-WebSocket-Version: 13', '-H', 'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=='];
    const status = async (...more: string[]): Promise<string> =>
      (await run(scope, 'curl', [...upgrade, ...key, ...more, url])).stdout.toString();
    assert.equal(await status(), '401');
    assert.equal(await status('-H', `Authorization: Bearer ${TOKENS.desk}`), '401');
    assert.equal(await status('-H', `Authorization: Basic ${TOKENS.laptop}`), '401');
    assert.equal(accepted(), 0);
    assert.equal(await status('-H', `Authorization: Bearer ${TOKENS.laptop}`), '101');
  });

  it('refuses a web page of another origin before it looks at the token', async (t) => {
    const { scope, address, accepted } = await guarded(t, 'ws://127.0.0.1:0/x?origin=https%3A//good.example');
    const from = async (origin: string): Promise<string> => {
      const head = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
      const key = ['Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==', `Authorization: Bearer ${TOKENS.laptop}`];
      const headers = [...head, ...key, `Origin: ${origin}`].flatMap((line) => ['-H', line]);
      const url = address.replace('ws:', 'http:');
      const args = ['-s', '-o', '/dev/null', '-m', '1', '-w', '%{http_code}', ...headers, url];
      return (await run(scope, 'curl', args)).stdout.toString();
    };
    for (const origin of ['https://evil.example', 'https://good.example.evil', 'null'])
      assert.equal(await from(origin), '403');
    assert.equal(accepted(), 0);
    assert.equal(await from('https://good.example'), '101');
  });

  it('authorises every stream anew: what is not offered, or not allowed any more, is refused, and nothing is dialed', async (t) => {
    const { address, accepted, far, opened: link } = await guarded(t, 'tcp://127.0.0.1:0?session=yes');
    const port = Number(address.split(':').at(-1));
    const dial = async () => ({ stream: connect({ port, allowHalfOpen: true }), peer: { address: 'test' } });
    const { session, ended } = await dialSession(
      { dial, token: TOKENS.laptop, detachedLife: 0 },
      new AbortController().signal,
    );
    for (const service of ['admin', 'sftp', 'x'.repeat(255)]) {
      const { opened } = session.open({ service, metadata: {} });
      await assert.rejects(opened, /there is no service/);
    }
    link.update({ ...link.link, allow: ['desk'] });
    await assert.rejects(session.open({ service: 'default', metadata: {} }).opened);
    assert.equal(accepted(), 0);
    assert.match(JSON.stringify(far.log.lines), /stream refused/);
    session.end(new Error('test over'));
    await ended;
  });
});

describe('a link is refused before it opens', () => {
  const cases: [string, string, string[], RegExp][] = [
    ['unix:/tmp/sluice-never', 'shell:', [], /does whatever its client asks for, and the link does not say who may/],
    ['tls://127.0.0.1:0', 'shell:', ['anyone'], /does whatever its client asks for/],
    [
      'unix:/tmp/sluice-never',
      'exec:cat',
      ['laptop'],
      /over unix nobody can prove who they are by a token; add session=yes/,
    ],
    ['tcp://127.0.0.1:0', 'exec:cat', ['laptop'], /over tcp nobody can prove who they are by a token/],
  ];
  for (const [source, sink, allow, message] of cases) {
    it(`${source} → ${sink} for ${allow.join() || 'nobody in particular'}`, async (t) => {
      const far = startGateway(new Scope(t));
      const address = source.startsWith('tls') ? `${source}?${pair}` : source;
      await assert.rejects(far.open(address, sink, { allow }), { code: 'SLUICE_ACCESS', message });
    });
  }
});
