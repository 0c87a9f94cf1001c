/** A session without streams holds a connection and memory for nothing: for a while it may, then it ends. */
import type { Session } from '../session/session.ts';

const LOOKS = 6;

/** @param patience ms */
export function endIdle(session: Session, patience: number): void {
  let busy = performance.now();
  const timer = setInterval(() => {
    if (session.streams > 0) busy = performance.now();
    else if (performance.now() - busy >= patience) session.end(new Error(`it had no stream for ${patience / 1000} s`));
  }, patience / LOOKS).unref();
  void session.closed.then(() => clearInterval(timer));
}
