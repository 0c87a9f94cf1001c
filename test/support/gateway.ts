/** A gateway inside the test's process, whose log is kept, so that a test can wait for what it says. */
import { EventEmitter, once } from 'node:events';
import {
  createContainer,
  tokens,
  Tunnels,
  builtInTransports,
  type CoreLog,
  type Gateway,
  type Link,
  type OpenLink,
  type Registry,
} from '../../core/index.ts';
import { parseAddress } from '../../core/address.ts';
import type { Fields } from '../../plugins/contract/index.ts';
import type { Scope } from './scope.ts';

export interface Line {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Fields;
}

/** A log that remembers. `until` resolves with the first line (earlier ones count) that fits. */
export class RecordedLog extends EventEmitter {
  readonly lines: Line[] = [];

  async until(fits: (line: Line) => boolean, milliseconds = 10_000): Promise<Line> {
    const signal = AbortSignal.timeout(milliseconds);
    for (;;) {
      const found = this.lines.find(fits);
      if (found !== undefined) return found;
      await once(this, 'line', { signal }).catch(() => {
        throw new Error(
          `no such log line within ${milliseconds} ms; there were:\n${this.lines.map((line) => JSON.stringify(line)).join('\n')}`,
        );
      });
    }
  }

  untilMessage(message: string, count = 1, milliseconds?: number): Promise<Line> {
    const isIt = (line: Line): boolean =>
      this.lines.filter((one) => one.message === message).indexOf(line) === count - 1;
    return this.until(isIt, milliseconds);
  }

  asLog(own: Fields = {}): CoreLog {
    const add =
      (level: Line['level']) =>
      (message: string, fields: Fields = {}): void => {
        this.lines.push({ level, message, fields: { ...own, ...fields } });
        this.emit('line');
      };
    return {
      debug: add('debug'),
      info: add('info'),
      warn: add('warn'),
      error: add('error'),
      child: (more) => this.asLog({ ...own, ...more }),
    };
  }
}

export interface TestGateway {
  readonly gateway: Gateway;
  readonly registry: Registry;
  readonly log: RecordedLog;
  /** Opens a link; options of a literal sink (`exec:`) go into `sinkOptions`. The address that is bound is in `listener.address`. */
  open(
    source: string,
    sink: string,
    more?: Partial<Link> & { sinkOptions?: Record<string, unknown> },
  ): Promise<OpenLink>;
}

export function startGateway(scope: Scope): TestGateway {
  const log = new RecordedLog();
  log.setMaxListeners(0);
  const folder = scope.folder();
  const tunnels = new Tunnels();
  const transports = builtInTransports({ interrupted: () => false }, tunnels);
  const folders = { runtime: folder, state: folder };
  const container = createContainer({ log: log.asLog(), folders, transports, options: { tunnels } });
  const gateway = container.get(tokens.gateway);
  const registry = container.get(tokens.registry);
  scope.defer(() => gateway.close(0));
  return {
    gateway,
    registry,
    log,
    open: (source, sink, { sinkOptions = {}, ...more } = {}) =>
      gateway.open({
        name: 'test',
        source: parseAddress(source, { registry, role: 'source', folder }),
        sink: parseAddress(sink, { registry, role: 'sink', folder, extra: sinkOptions }),
        services: new Map(),
        allow: [],
        idleAfterEnd: 60_000,
        once: false,
        ...more,
      }),
  };
}
