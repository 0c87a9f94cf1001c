import assert from 'node:assert/strict';
import { soon } from '../bench.ts';
import type { Check, Promised } from '../check.ts';
import { cut } from '../ends.ts';
import type { Subject } from '../subject.ts';

const TARGETS = ['', ' ', ':', '/', '::::', 'ä'.repeat(300), '[::', '%zz', '-1', '\n'];

/** What its own `parse` makes of a target, or throws; nothing stands between. */
function parsed({ given }: Subject, target: string): unknown {
  assert.ok('schemes' in given);
  const [scheme = ''] = given.schemes;
  const role = given.dial === undefined ? 'source' : 'sink';
  const options = optionsOf(given.options);
  return given.parse({ target, scheme, options: options as never, role, resolvePath: (path) => path });
}

const optionsOf = (specs: object): object =>
  Object.fromEntries(
    Object.entries(specs as Readonly<Record<string, { type: string; default?: unknown }>>).map(([key, spec]) => [
      key,
      spec.default ?? (spec.type === 'list' ? [] : spec.type === 'map' ? {} : undefined),
    ]),
  );

const parses: Check = {
  title: 'throws an Error for an address that it cannot read, at once, and the same each time',
  async run(subject) {
    for (const target of TARGETS) {
      const outcomes = [1, 2].map(() => {
        try {
          return { made: parsed(subject, target) };
        } catch (error) {
          assert.ok(
            error instanceof Error && error.message !== '',
            `"parse" threw ${String(error)}; expected an Error`,
          );
          return { refused: error.message };
        }
      });
      assert.ok(!(outcomes[0]?.made instanceof Promise), '"parse" must not be asynchronous');
      assert.deepEqual(outcomes[0], outcomes[1], '"parse" must make the same of the same address');
    }
  },
};

const taken: Check = {
  title: 'rejects with an Error where its place is taken',
  async run(subject, bench) {
    const place = subject.sourceAt(bench);
    await subject.listen(bench, place);
    const second = await soon(
      subject.listen(bench, place).then(
        () => 'listens',
        (error: unknown) => error,
      ),
      'an answer',
    );
    assert.ok(second instanceof Error, `expected an Error, got ${String(second)}`);
  },
};

const broken: Check = {
  title: 'breaks a connection with an Error, or with nothing to say',
  async run(subject, bench) {
    const { near, far } = await subject.open(bench);
    const seen: unknown[] = [];
    far.stream.on('error', (error) => seen.push(error));
    far.stream.resume();
    cut(near);
    await soon(new Promise<void>((resolve) => void far.stream.once('close', resolve).once('end', resolve)), 'a cut');
    assert.ok(
      seen.every((error) => error instanceof Error),
      `it broke with ${String(seen[0])}`,
    );
  },
};

export const errors: Promised = {
  name: 'errors',
  checksFor(subject) {
    const own = 'schemes' in subject.given ? [parses] : [];
    const exclusive = subject.listens && subject.occupies ? [taken] : [];
    return [...own, ...exclusive, ...(subject.dials ? [broken] : [])];
  },
};
