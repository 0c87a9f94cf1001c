/** Pumps that run through reloads, good and bad: none of them notices. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { it } from 'node:test';
import { certificates } from '../support/certificates.ts';
import { startSluice } from '../support/command.ts';
import { startGateway } from '../support/gateway.ts';
import { freePort } from '../support/programs.ts';
import { Scope, assertNothingLeaks } from '../support/scope.ts';

assertNothingLeaks();

const RELOADS = process.env['SLUICE_SOAK'] ? 100 : 20;
const PUMPS = 10;
const { ca, server, stranger } = certificates();

/** Sends what it has got back, and more, until it is stopped; every byte is compared. */
class Pump {
  #sent = 0;
  #got = 0;
  isCut = false;
  readonly #socket: Socket;
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {}).on('close', () => (this.isCut = true));
    socket.on('data', (chunk: Buffer) => {
      for (const byte of chunk) {
        assert.equal(byte, this.#got % 251);
        this.#got += 1;
      }
      this.#send();
    });
    this.#send();
  }
  get got(): number {
    return this.#got;
  }
  #send(): void {
    if (this.#sent - this.#got > 64 * 1024) return;
    const chunk = Buffer.from(Array.from({ length: 8 * 1024 }, (_, at) => (this.#sent + at) % 251));
    this.#sent += chunk.length;
    this.#socket.write(chunk);
  }
  stop(): void {
    this.#socket.destroy();
  }
}

it(`${PUMPS} pumps through ${RELOADS} reloads: good, broken certificate, broken file, another link gone`, async (t) => {
  const scope = new Scope(t);
  const folder = scope.folder();
  const echo = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  scope.defer(() => echo.close());
  const port = await freePort();
  const file = join(folder, 'sluice.yaml');
  const sink = `tcp://127.0.0.1:${(echo.address() as AddressInfo).port}`;
  const main = `  - { name: a, source: "tls://127.0.0.1:${port}?cert=cert.pem&key=key.pem", sink: "${sink}", allow: anyone }\n`;
  const other = `  - { name: b, source: "unix:./b", sink: "${sink}" }\n`;
  const write = (text: string): void => writeFileSync(file, text, { mode: 0o600 });
  const key = (from: string): void => copyFileSync(from, join(folder, 'key.pem'));
  write(`links:\n${main}${other}`);
  copyFileSync(server.cert, join(folder, 'cert.pem'));
  key(server.key);
  const { child, untilStderr } = startSluice(scope, ['run', '-c', file]);
  await untilStderr(/running {2}config/);
  const near = startGateway(scope);
  const path = join(scope.folder(), 's');
  await near.open(`unix:${path}`, `tls://127.0.0.1:${port}?ca=${ca}`);
  const pumps = Array.from(
    { length: PUMPS },
    (_, at) => new Pump(connect({ path: at % 2 === 0 ? path : join(folder, 'b') })),
  );
  scope.defer(() => pumps.forEach((pump) => pump.stop()));
  const kept = pumps.filter((_, at) => at % 2 === 0);
  const steps = [
    () => write(`links:\n${main}${other}`),
    () => key(stranger.key),
    () => key(server.key),
    () => write('links: ['),
    () => write(`links:\n${main}`),
  ];
  for (let count = 0; count < RELOADS; count += 1) {
    steps[count % steps.length]?.();
    child.kill('SIGHUP');
    await untilStderr(new RegExp(`(?:(?:reloaded {2}config|was not taken)[^]*){${count + 1}}`), 30_000);
  }
  const before = kept.map(({ got }) => got);
  assert.ok(kept.every(({ isCut }) => !isCut));
  await Promise.all(
    kept.map(async (pump, at) => {
      for (const end = performance.now() + 10_000; pump.got === before[at] && performance.now() < end;)
        await new Promise(setImmediate);
      assert.ok(pump.got > (before[at] ?? 0));
    }),
  );
  assert.ok(
    pumps.filter((_, at) => at % 2 === 1).every(({ isCut }) => isCut),
    'a link that is gone takes its connections with it',
  );
});
