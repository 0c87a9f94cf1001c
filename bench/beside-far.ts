/** The far end of beside.ts, as a process of its own: a session over TLS that echoes one stream and throws the other away. */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { SessionListener } from '../core/session/listener.ts';

const [cert = '', key = ''] = process.argv.slice(2);
const quiet = (): void => {};

const listener = new SessionListener({
  admit: () => ({}),
  detachedLife: 0,
  maxDetached: 0,
  log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  onOpen({ service }, { accept }) {
    const stream = accept({ exit: false });
    if (service === 'echo') stream.pipe(stream);
    else stream.resume();
  },
});
const options = {
  cert: readFileSync(cert),
  key: readFileSync(key),
  minVersion: 'TLSv1.3',
  allowHalfOpen: true,
} as const;
const server = createServer(options, (socket) => {
  socket.on('error', quiet).setNoDelay(true);
  void listener.accept({ stream: socket, peer: { address: 'bench' } });
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
