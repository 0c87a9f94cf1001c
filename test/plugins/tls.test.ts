/** `tls+…`: a secret kept from whoever carries it. */
import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { layerSuite } from '../../compliance/index.ts';
import tls from '../../plugins/tls/index.ts';
import { certificates } from '../support/certificates.ts';
import { sluice } from '../support/command.ts';
import { startLink } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { joinedBy } from './command-line.ts';

assertNothingLeaks();

const { ca, server, client, otherName, stranger } = certificates();
const source = `tls.cert=${server.cert}&tls.key=${server.key}`;
const sink = `tls.ca=${ca}&tls.servername=localhost`;

layerSuite(tls, { source, sink });

it('two gateways agree on a session by it, and the exit status arrives', async (t) => {
  const scope = new Scope(t);
  const far = await startLink(
    scope,
    `tls+tcp://127.0.0.1:0?${source}`,
    'exec:sh -c "cat; exit 9"',
    '--plugin',
    'sluice/tls',
  );
  const { code, stdout, stderr } = await sluice(
    scope,
    ['connect', '--plugin', 'sluice/tls', `${far.address}?${sink}`],
    'a secret',
  );
  assert.deepEqual([code, stdout], [9, 'a secret'], stderr);
});

it('a late reply comes through two layers, tls over zstd', async (t) => {
  const scope = new Scope(t);
  const flags = ['--plugin', 'sluice/tls', '--plugin', 'sluice/zstd'];
  const far = await startLink(scope, `tls+zstd+tcp://127.0.0.1:0?${source}`, 'exec:sh -c "wc -c"', ...flags);
  const { stdout, stderr } = await sluice(scope, ['connect', ...flags, `${far.address}?${sink}`], 'x'.repeat(500_000));
  assert.equal(stdout.trim(), '500000', stderr);
});

describe('a connection is refused', () => {
  const refused: [what: string, source: string, sink: string, reason: RegExp][] = [
    [
      'to a server that nobody signed',
      `tls.cert=${stranger.cert}&tls.key=${stranger.key}`,
      sink,
      /self-signed certificate/,
    ],
    [
      'to a server of another name',
      `tls.cert=${otherName.cert}&tls.key=${otherName.key}`,
      sink,
      /does not match certificate's altnames/,
    ],
    [
      'to a server of another key',
      source,
      `tls.pin=sha256/${'A'.repeat(43)}=`,
      /not a pinned one; its pin is sha256\//,
    ],
  ];
  for (const [what, ofSource, ofSink, reason] of refused)
    it(what, async (t) => {
      const scope = new Scope(t);
      const far = await startLink(scope, `tls+tcp://127.0.0.1:0?${ofSource}`, 'exec:cat', '--plugin', 'sluice/tls');
      const { code, stderr } = await sluice(scope, ['connect', '--plugin', 'sluice/tls', `${far.address}?${ofSink}`]);
      assert.equal(code, 255);
      assert.match(stderr, reason);
    });

  it('of a client without a certificate, where the source has a ca; one with it is let in', async (t) => {
    const scope = new Scope(t);
    const options = { source: `${source}&tls.ca=${ca}`, sink: `${sink}&tls.cert=${client.cert}&tls.key=${client.key}` };
    const joined = await joinedBy(scope, 'sluice/tls', 'tls', 'exec:echo in', options);
    assert.equal(await text(joined.client), 'in\n');
    for (const more of ['', `&tls.cert=${stranger.cert}&tls.key=${stranger.key}`]) {
      const args = ['connect', '--plugin', 'sluice/tls', `${joined.second.address}?${sink}${more}`];
      const { code, stdout } = await sluice(scope, args);
      assert.deepEqual([code, stdout], [255, '']);
    }
  });
});
