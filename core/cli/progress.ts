/** One line on a terminal that tells what passes now. The only import of log-update and pretty-bytes. */
import type { Gateway } from '../gateway.ts';

const EVERY = 250;

export interface Progress {
  /** Takes the line away, so that something else can be written. */
  clear(): void;
  stop(): void;
}

const NONE: Progress = { clear: () => {}, stop: () => {} };

/** Does nothing where standard error is no terminal. */
export async function showProgress(gateway: Gateway, output: NodeJS.WriteStream): Promise<Progress> {
  if (!output.isTTY) return NONE;
  const [{ createLogUpdate }, { default: prettyBytes }] = await Promise.all([
    import('log-update'),
    import('pretty-bytes'),
  ]);
  const line = createLogUpdate(output, { showCursor: true });
  let before = { at: performance.now(), bytes: 0 };
  const draw = (): void => {
    const running = [...gateway.running];
    if (running.length === 0) return line.clear();
    const now = performance.now();
    const traffic = running.map((served) => served.traffic());
    const toSink = traffic.reduce((sum, one) => sum + (one?.toSink ?? 0), 0);
    const toSource = traffic.reduce((sum, one) => sum + (one?.toSource ?? 0), 0);
    const rate = Math.max(0, ((toSink + toSource - before.bytes) * 1000) / (now - before.at));
    before = { at: now, bytes: toSink + toSource };
    const seconds = Math.round((now - Math.min(...running.map(({ since }) => since))) / 1000);
    const handed = traffic.filter((one) => one === undefined).length;
    const count = running.length === 1 ? '' : `${running.length} connections  `;
    line(
      `${count}↑ ${prettyBytes(toSink)}  ↓ ${prettyBytes(toSource)}  ${prettyBytes(rate)}/s  ${seconds} s${handed > 0 ? `  ${handed} handed off` : ''}`,
    );
  };
  const timer = setInterval(draw, EVERY);
  timer.unref();
  return {
    clear: () => line.clear(),
    stop: () => {
      clearInterval(timer);
      line.clear();
    },
  };
}
