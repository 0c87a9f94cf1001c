/** A gateway that runs while its configuration changes: what is good is taken, what is not changes nothing, who is not allowed any more is cut. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { certificates, pinOf } from '../support/certificates.ts';
import { sluice, startSluice, type Running } from '../support/command.ts';
import { startGateway } from '../support/gateway.ts';
import { freePort } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const { ca, server, client, otherName, issue } = certificates();
const TOKENS = { laptop: 'slu_laptop_0123456789abcdef', desk: 'slu_desk_0123456789abcdef' };

interface Site extends Running {
  readonly folder: string;
  write(text: string): void;
  /** Reloads, and waits for what it says. */
  reload(says?: RegExp): Promise<void>;
}

/** A gateway with its configuration, tokens and certificate in a folder of its own. */
async function startSite(scope: Scope, text: string): Promise<Site> {
  const folder = scope.folder();
  const file = join(folder, 'sluice.yaml');
  const write = (now: string): void => writeFileSync(file, now, { mode: 0o600 });
  write(text);
  for (const [name, token] of Object.entries(TOKENS))
    writeFileSync(join(folder, `${name}.token`), token, { mode: 0o600 });
  copyFileSync(server.cert, join(folder, 'cert.pem'));
  copyFileSync(server.key, join(folder, 'key.pem'));
  copyFileSync(ca, join(folder, 'ca.pem'));
  const running = startSluice(scope, ['run', '-c', file]);
  await running.untilStderr(/running {2}config/);
  let reloads = 0;
  const reload = async (says = /reloaded {2}config/): Promise<void> => {
    reloads += 1;
    running.child.kill('SIGHUP');
    await running.untilStderr(new RegExp(`(?:(?:reloaded {2}config|was not taken)[^]*){${reloads}}`));
    await running.untilStderr(says);
  };
  return { ...running, folder, write, reload };
}

/** A connection that is open, and answers; `cut` resolves when it is not. */
class Talk {
  readonly socket: Socket;
  readonly cut: Promise<unknown>;
  constructor(socket: Socket) {
    this.socket = socket.on('error', () => {});
    this.cut = once(socket, 'close');
  }
  async says(word: string): Promise<string> {
    this.socket.write(word);
    const [chunk] = (await once(this.socket, 'data', { signal: AbortSignal.timeout(5_000) })) as [Buffer];
    return chunk.toString();
  }
}

async function talk(scope: Scope, socket: Socket): Promise<Talk> {
  scope.defer(() => socket.destroy());
  const one = new Talk(socket);
  assert.equal(await one.says('hello'), 'hello');
  return one;
}

/** Through a gateway of the test's own, with a session to an address. */
async function talkBySession(scope: Scope, address: string): Promise<Talk> {
  const near = startGateway(scope);
  const path = join(scope.folder(), 's');
  await near.open(`unix:${path}`, address);
  return talk(scope, connect({ path }));
}

const identities = 'identities: { laptop: { token: "file:laptop.token" }, desk: { token: "file:desk.token" } }';

describe('a reload', () => {
  it('keeps what stays, opens what is new, and closes what is gone, with its connections', async (t) => {
    const scope = new Scope(t);
    const a = '  - { name: a, source: "unix:./a", sink: "exec:cat" }';
    const b = '  - { name: b, source: "unix:./b", sink: "exec:cat" }';
    const site = await startSite(scope, `links:\n${a}\n${b}\n`);
    const at = (name: string): Socket => connect({ path: join(site.folder, name) });
    const [kept, removed] = [await talk(scope, at('a')), await talk(scope, at('b'))];
    site.write(`links:\n${a}\n${b.replaceAll('b', 'c').replace('cat', 'cat')}\n`);
    await site.reload();
    await removed.cut;
    assert.equal(await kept.says('still'), 'still');
    await talk(scope, at('c'));
    await assert.rejects(
      once(
        at('b').on('error', () => {}),
        'connect',
      ),
      { code: 'ENOENT' },
    );
    site.write(`links:\n${a.replace('exec:cat', 'exec:sh -c \\"echo other; exec cat\\"')}\n`);
    await site.reload(/reloaded/);
    const fresh = new Talk(at('a'));
    assert.match(await fresh.says(''), /other/);
    fresh.socket.destroy();
    assert.equal(await kept.says('and still'), 'and still');
    kept.socket.destroy();
  });

  it('moves a source to another option on its own place, and its connections live on', async (t) => {
    const scope = new Scope(t);
    const site = await startSite(scope, 'links:\n  - { name: a, source: "unix:./a", sink: "exec:cat" }\n');
    const path = join(site.folder, 'a');
    const kept = await talk(scope, connect({ path }));
    site.write('links:\n  - { name: a, source: "unix:./a?mode=0660", sink: "exec:cat" }\n');
    await site.reload();
    assert.equal(statSync(path).mode & 0o777, 0o660);
    assert.equal(await kept.says('still'), 'still');
    await talk(scope, connect({ path }));
    kept.socket.destroy();
  });

  const good = `${identities}\nlinks:\n  - { name: a, source: "tls://127.0.0.1:PORT?cert=cert.pem&key=key.pem", sink: "exec:cat", allow: anyone }\n`;
  const bad: readonly (readonly [what: string, text: string, reason: RegExp])[] = [
    ['no YAML', 'links: [', /was not taken, nothing has changed/],
    ['an unknown key', good.replace('sink:', 'snik:'), /unknown key/],
    ['nothing to run', identities, /nothing to run/],
    ['a token that is not there', good.replace('desk.token', 'none.token'), /none\.token: it is not there/],
    ['a certificate that is not there', good.replace('cert.pem', 'none.pem'), /cannot read/],
    [
      'nobody named for a network source',
      good.replace(', allow: anyone', '').replace('127.0.0.1', '0.0.0.0'),
      /reached from the network/,
    ],
    [
      'a source that cannot be opened',
      good.replace('links:\n', 'links:\n  - { name: b, source: "unix:/none/at/all", sink: "exec:cat" }\n'),
      /there is no folder/,
    ],
  ];
  it('that is no good changes nothing, and says so', async (t) => {
    const scope = new Scope(t);
    const port = await freePort();
    const place = (text: string): string => text.replace('PORT', String(port));
    const site = await startSite(scope, place(good));
    const dialed = (): Socket =>
      connectTls({ port, host: '127.0.0.1', ca: readFileSync(ca), servername: 'localhost', minVersion: 'TLSv1.3' });
    const kept = await talk(scope, dialed());
    for (const [what, text, reason] of bad) {
      site.write(place(text));
      await site.reload(reason);
      assert.equal(await kept.says(what), what);
      const fresh = await talk(scope, dialed());
      fresh.socket.destroy();
    }
    site.write(place(good));
    await site.reload();
    kept.socket.destroy();
  });

  it('brings a new certificate to new connections, and a broken one to none', async (t) => {
    const scope = new Scope(t);
    const port = await freePort();
    const site = await startSite(scope, good.replace('PORT', String(port)));
    const seen = async (): Promise<string | undefined> => {
      const socket = connectTls({ port, host: '127.0.0.1', ca: readFileSync(ca), servername: 'localhost' });
      await once(socket, 'secureConnect');
      const name = socket.getPeerX509Certificate()?.subject;
      socket.destroy();
      return name;
    };
    assert.match(String(await seen()), /CN=server/);
    const next = issue('renewed', 'DNS:localhost');
    copyFileSync(next.cert, join(site.folder, 'cert.pem'));
    await site.reload(/was not taken.*is not that of the certificate/);
    assert.match(String(await seen()), /CN=server/);
    copyFileSync(next.key, join(site.folder, 'key.pem'));
    await site.reload(/certificates renewed/);
    assert.match(String(await seen()), /CN=renewed/);
  });

  it('cuts who is not allowed any more, also in sessions, and keeps the others', async (t) => {
    const scope = new Scope(t);
    const port = await freePort();
    const text = `${identities}\nlinks:\n  - { name: a, source: "tcp://127.0.0.1:${port}?session=yes", sink: "exec:cat", allow: [laptop, desk] }\n`;
    const site = await startSite(scope, text);
    const as = (name: string) =>
      talkBySession(scope, `tcp://127.0.0.1:${port}?session=yes&token=file:${site.folder}/${name}.token`);
    const [laptop, desk] = [await as('laptop'), await as('desk')];
    site.write(text.replace('[laptop, desk]', '[laptop]'));
    await site.reload();
    await desk.cut;
    assert.equal(await laptop.says('still'), 'still');
    laptop.socket.destroy();
  });

  it('cuts whose certificate comes from an authority that is gone', async (t) => {
    const scope = new Scope(t);
    const port = await freePort();
    const people = 'identities: { laptop: { san: client.example }, desk: { pin: "PIN" } }'.replace(
      'PIN',
      pinOf(otherName),
    );
    const text = `${people}\nlinks:\n  - { name: a, source: "tls://127.0.0.1:${port}?cert=cert.pem&key=key.pem&ca=ca.pem", sink: "exec:cat", allow: [laptop, desk] }\n`;
    const site = await startSite(scope, text);
    const as = ({ cert, key }: typeof client) =>
      talkBySession(scope, `tls://127.0.0.1:${port}?ca=${ca}&cert=${cert}&key=${key}`);
    const [laptop, desk] = [await as(client), await as(otherName)];
    copyFileSync(certificates().stranger.cert, join(site.folder, 'ca.pem'));
    await site.reload(/certificates renewed/);
    await laptop.cut;
    assert.equal(await desk.says('still'), 'still'); // known by its key, which no authority gave it
    desk.socket.destroy();
  });
});

describe('authorize and revoke', () => {
  it('let somebody in and out of a gateway that runs, without a secret in what they say', async (t) => {
    const scope = new Scope(t);
    const port = await freePort();
    const text = `# ours\n${identities} # people\nlinks:\n  - name: a # the link\n    source: "tcp://127.0.0.1:${port}?session=yes"\n    sink: exec:cat\n    allow: [laptop]\n`;
    const site = await startSite(scope, text);
    const config = join(site.folder, 'sluice.yaml');
    const out = join(site.folder, 'phone');
    const made = await sluice(scope, ['authorize', 'phone', '-c', config, '--link', 'a', '--out', out]);
    assert.equal(made.code, 0, made.stderr);
    const token = readFileSync(out, 'utf8').trim();
    assert.match(token, /^slu_phone_[\w-]{43}$/);
    assert.equal(statSync(out).mode & 0o777, 0o600);
    assert.match(readFileSync(join(site.folder, 'identities/phone.token'), 'utf8'), /^sha256:[0-9a-f]{64}\n$/);
    const now = readFileSync(config, 'utf8');
    for (const comment of ['# ours', '# people', '# the link']) assert.ok(now.includes(comment), now);
    assert.match(
      made.stdout,
      /a: \{ sink: "tcp:\/\/127\.0\.0\.1:\d+", token: "file:~\/\.config\/sluice\/phone\.token" \}/,
    );
    await site.untilStderr(/identities read {2}known=3/);
    await site.reload();
    const phone = await talkBySession(scope, `tcp://127.0.0.1:${port}?session=yes&token=file:${out}`);
    const laptop = await talkBySession(
      scope,
      `tcp://127.0.0.1:${port}?session=yes&token=file:${site.folder}/laptop.token`,
    );

    const begun = performance.now();
    const revoked = await sluice(scope, ['revoke', 'phone', '-c', config]);
    const written = performance.now();
    assert.equal(revoked.code, 0, revoked.stderr);
    await phone.cut;
    t.diagnostic(`revoke: ${Math.round(written - begun)} ms, cut ${Math.round(performance.now() - written)} ms later`);
    assert.ok(performance.now() - written < 2_000);
    assert.equal(await laptop.says('still'), 'still');
    laptop.socket.destroy();
    const said = `${made.stdout}${made.stderr}${revoked.stdout}${revoked.stderr}${readFileSync(config, 'utf8')}`;
    assert.ok(!said.includes(token.slice(10)));
    site.child.kill('SIGTERM');
    assert.ok(!(await site.ended).stderr.includes(token.slice(10)));
  });

  it('refuse a name that is taken, one that is none, and a file that is there', async (t) => {
    const scope = new Scope(t);
    const folder = scope.folder();
    const config = join(folder, 'sluice.yaml');
    writeFileSync(config, 'identities: { laptop: { token: "env:X" } }\n', { mode: 0o600 });
    writeFileSync(join(folder, 'there'), 'precious');
    const cases: readonly (readonly [string[], RegExp])[] = [
      [['authorize', 'laptop'], /there is an identity "laptop" already; --replace/],
      [['authorize', 'A b'], /expected a name of a-z/],
      [['authorize', 'desk', '--link', 'none'], /there is no link "none"/],
      [['authorize', 'desk', '--out', join(folder, 'there')], /EEXIST.*name another file by --out/],
      [['revoke', 'desk'], /there is no identity "desk"/],
    ];
    for (const [args, says] of cases) {
      const { code, stderr } = await sluice(scope, [...args, '-c', config], '', { cwd: folder });
      assert.match(stderr, says);
      assert.notEqual(code, 0);
    }
    assert.equal(readFileSync(join(folder, 'there'), 'utf8'), 'precious');
    assert.equal(readFileSync(config, 'utf8'), 'identities: { laptop: { token: "env:X" } }\n');
  });

  it('make a certificate, or sign a request, that lets its owner in by its key', async (t) => {
    const scope = new Scope(t);
    const port = await freePort();
    const site = await startSite(
      scope,
      `identities: { laptop: { token: "file:laptop.token" } }\nlinks:\n  - { name: a, source: "tls://127.0.0.1:${port}?cert=cert.pem&key=key.pem", sink: "exec:cat", allow: [laptop] }\n`,
    );
    const config = join(site.folder, 'sluice.yaml');
    const env = { ...process.env, XDG_STATE_HOME: site.folder };
    const out = join(site.folder, 'phone');
    const { code, stderr } = await sluice(
      scope,
      ['authorize', 'phone', '-c', config, '--certificate', '--link', 'a', '--out', out],
      '',
      { env },
    );
    assert.equal(code, 0, stderr);
    assert.equal(statSync(`${out}.key`).mode & 0o777, 0o600);
    await site.reload();
    const sink = `tls://127.0.0.1:${port}?ca=${ca}&cert=${out}.pem&key=${out}.key`;
    const phone = await talkBySession(scope, sink);
    await sluice(scope, ['revoke', 'phone', '-c', config]);
    await phone.cut;
  });
});
