/** `pt://…`: Debian's obfs4proxy carries a link, started by the plugin. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { transportSuite } from '../../compliance/index.ts';
import pt from '../../plugins/pt/index.ts';
import { readLine } from '../../plugins/pt/managed.ts';
import { encodeArguments } from '../../plugins/pt/socks.ts';
import { sluice, startSluice } from '../support/command.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

transportSuite(pt, {
  source: () => 'pt://127.0.0.1:0',
  skip: {
    'end-and-cut':
      'obfs4proxy closes both directions with the first end, and drops what is under way; a session repairs it',
  },
});

const PLUGIN = ['--plugin', 'sluice/pt'];

it('obfs4proxy carries a session: bytes, a late reply and the exit status, and nothing of it is on the wire', async (t) => {
  const scope = new Scope(t);
  const env = { ...process.env, XDG_STATE_HOME: scope.folder() };
  const args = ['link', ...PLUGIN, 'pt://127.0.0.1:0?session=yes', 'exec:sh -c "wc -c; exit 4"'];
  const { untilStderr } = startSluice(scope, args, { env });
  const [, address = ''] = await untilStderr(/dial="?(pt:\S+?)"?(?:\s|$)/);
  assert.match(address, /^pt:\/\/127\.0\.0\.1:\d+\?transport=obfs4&arg=cert=.+&arg=iat-mode=0$/);
  const { code, stdout, stderr } = await sluice(
    scope,
    ['connect', ...PLUGIN, `${address}&session=yes`],
    'x'.repeat(300_000),
    { env },
  );
  assert.deepEqual([stdout.trim(), code], ['300000', 4], stderr);
  const port = Number(/:(\d+)\?/.exec(address)?.[1]);
  const stranger = connect(port, '127.0.0.1').on('error', () => {});
  stranger.end('GET / HTTP/1.0\r\n\r\n');
  assert.equal(await text(stranger).catch(() => ''), '', 'who does not know its key gets no answer');
});

it('a program that is not there is told', async (t) => {
  const args = ['link', ...PLUGIN, '--allow', 'anyone', 'pt://127.0.0.1:0?program=no-such-program', 'exec:true'];
  const { code, stderr } = await sluice(new Scope(t), args);
  assert.equal(code, 255);
  assert.match(stderr, /no-such-program: spawn no-such-program ENOENT \[SLUICE_LISTEN\]/);
});

describe('what the program says', () => {
  it('is where it listens, and what its clients have to know', () => {
    assert.deepEqual(readLine('SMETHOD obfs4 127.0.0.1:9 ARGS:cert=a,iat-mode=0', 'obfs4'), {
      address: '127.0.0.1:9',
      args: 'cert=a,iat-mode=0',
    });
    assert.deepEqual(readLine('CMETHOD obfs4 socks5 127.0.0.1:8', 'obfs4'), {
      address: '127.0.0.1:8',
      args: undefined,
    });
    assert.equal(readLine('CMETHODS DONE', 'obfs4'), undefined);
  });
  for (const line of ['ENV-ERROR no state', 'SMETHOD-ERROR obfs4 taken', 'CMETHOD obfs4 socks4 127.0.0.1:8'])
    it(`may be ${line}`, () => assert.throws(() => readLine(line, 'obfs4')));
});

it('arguments are escaped as the specification wants it', () => {
  assert.equal(encodeArguments({ cert: 'a=b;c\\', 'iat-mode': '0' }).toString(), 'cert=a\\=b\\;c\\\\;iat-mode=0');
});
