/** The built-in transports keep every promise, by the same suite that a third party's do. */
import { describe } from 'node:test';
import { bridgeCommand, layerSuite, memoryTransport, transportSuite } from '../../compliance/index.ts';
import { exec } from '../../transports/exec.ts';
import { tcp } from '../../transports/tcp.ts';
import { tls } from '../../transports/tls.ts';
import { unix } from '../../transports/unix.ts';
import { ws, wsUnix, wss } from '../../transports/websocket.ts';
import { certificates } from '../support/certificates.ts';
import { assertNothingLeaks } from '../support/scope.ts';
import { xor } from '../support/xor.ts';

assertNothingLeaks();

const { ca, server } = certificates();
const pair = `cert=${server.cert}&key=${server.key}`;
const withCa = (bound: string): string => `${bound}?ca=${ca}`;

describe('the suite', { concurrency: 1 }, () => {
  transportSuite(memoryTransport(), { source: (n) => `memory:${n}` });
  layerSuite(xor);
  transportSuite(unix, { source: (n, folder) => `unix:${folder}/s${n}` });
  transportSuite(tcp, { source: () => 'tcp://127.0.0.1:0' });
  transportSuite(tls, { source: () => `tls://127.0.0.1:0?${pair}`, sink: withCa });
  transportSuite(ws, { source: () => 'ws://127.0.0.1:0/suite' });
  transportSuite(wss, { source: () => `wss://127.0.0.1:0/suite?${pair}`, sink: withCa });
  transportSuite(wsUnix, { source: (n, folder) => `ws+unix:${folder}/s${n}:/suite` });
  transportSuite(exec, {
    nobody: 'exec:/nonexistent',
    far: async (bench) => {
      const { words, accept } = await bridgeCommand(bench);
      return { sink: `exec:${words.map((word) => `'${word.replaceAll("'", `'"'"'`)}'`).join(' ')}`, accept };
    },
  });
});
