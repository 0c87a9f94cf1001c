/**
 * The command behind `exec:` in the matrix: joins its standard input and output to a TCP port of the test, which thus
 * holds its end. An end is an end there. A TERM is a reset, and so is a reset of the input; a reset by the test kills
 * this command with a signal.
 */
import { fstatSync } from 'node:fs';
import { connect, Socket } from 'node:net';

const stdio = (): { input: Socket; output: Socket } => {
  if (fstatSync(0).ino !== fstatSync(1).ino) {
    return { input: new Socket({ fd: 0, writable: false }), output: new Socket({ fd: 1, readable: false }) };
  }
  const socket = new Socket({ fd: 0, allowHalfOpen: true }); // handed off
  return { input: socket, output: socket };
};

const { input, output } = stdio();
const test = connect({ host: '127.0.0.1', port: Number(process.argv[2]), allowHalfOpen: true });

function die(signal: NodeJS.Signals): void {
  process.removeAllListeners('SIGTERM');
  process.kill(process.pid, signal);
}

process.once('SIGTERM', () => {
  test.once('close', () => die('SIGTERM'));
  test.resetAndDestroy();
});
test.on('error', () => die('SIGKILL'));
input.on('error', () => test.resetAndDestroy());
output.on('error', () => test.resetAndDestroy());
input.pipe(test);
test.pipe(output);
