/** socat at the other end, as client and as server: over UNIX, TCP and TLS. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { certificates } from '../support/certificates.ts';
import { COMMAND } from '../support/command.ts';
import { freePort, run, start, startLink, untilListening } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';
import { seededBytes } from '../support/tree.ts';

assertNothingLeaks();

const { ca, server } = certificates();
const sent = seededBytes('socat', 5_000_000);
/** Echoes, and says something more a while after the end of its input. */
const ECHO_AND_MORE = `sh -c 'cat; sleep 0.3; echo more'`;
const PATIENCE = ['-t', '30']; // socat gives the other direction half a second otherwise

interface Case {
  readonly source: string;
  /** How socat dials what is bound at `source`. */
  readonly client: (address: string) => string;
  readonly server: (where: string) => string;
  readonly sink: (where: string) => string;
}

const port = (address: string): string => /:(\d+)$/.exec(address)?.[1] ?? '';

const cases: Readonly<Record<string, Case>> = {
  unix: {
    source: 'unix:FOLDER/s',
    client: (address) => address.replace('unix:', 'UNIX-CONNECT:'),
    server: (where) => `UNIX-LISTEN:${where}`,
    sink: (where) => `unix:${where}`,
  },
  tcp: {
    source: 'tcp://127.0.0.1:0',
    client: (address) => `TCP:127.0.0.1:${port(address)}`,
    server: (where) => `TCP-LISTEN:${where},bind=127.0.0.1,reuseaddr`,
    sink: (where) => `tcp://127.0.0.1:${where}`,
  },
  tls: {
    source: `tls://127.0.0.1:0?cert=${server.cert}&key=${server.key}`,
    client: (address) => `OPENSSL:localhost:${port(address)},cafile=${ca}`,
    server: (where) =>
      `OPENSSL-LISTEN:${where},bind=127.0.0.1,reuseaddr,cert=${server.cert},key=${server.key},verify=0`,
    sink: (where) => `tls://127.0.0.1:${where}?ca=${ca}`,
  },
};

for (const [name, { source, client, server: listen, sink }] of Object.entries(cases)) {
  it(`socat as a client over ${name}: bytes equal, an end is an end, a late reply comes back`, async (t) => {
    const scope = new Scope(t);
    const link = await startLink(scope, source.replace('FOLDER', scope.folder()), `exec:${ECHO_AND_MORE}`);
    const { stdout, stderr } = await run(scope, 'socat', [...PATIENCE, '-', client(link.address)], { input: sent });
    assert.ok(stdout.equals(Buffer.concat([sent, Buffer.from('more\n')])), stderr);
    await link.untilStderr(/closed .*how=ended exit=0/);
  });

  it(`socat as a server over ${name}: bytes equal, an end is an end, a late reply comes back`, async (t) => {
    const scope = new Scope(t);
    const where = name === 'unix' ? `${scope.folder()}/s` : String(await freePort());
    const far = start(scope, 'socat', [...PATIENCE, `${listen(where)},fork`, `SYSTEM:cat; sleep 0.3; echo more`]);
    await untilListening(name === 'unix' ? where : Number(where));
    const near = await run(scope, process.execPath, [COMMAND, 'connect', sink(where)], { input: sent });
    assert.ok(near.stdout.equals(Buffer.concat([sent, Buffer.from('more\n')])), near.stderr + far.said());
    assert.equal(near.code, 0, near.stderr);
  });
}
