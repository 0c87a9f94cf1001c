/** The layer of the tests: every bit is turned over, so that on the wire nothing is as it was. */
import { Transform } from 'node:stream';
import { defineLayer, through, type Layer } from '../../plugins/contract/index.ts';

const turned = (): Transform =>
  new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const copy = Buffer.from(chunk);
      for (let at = 0; at < copy.length; at += 1) copy[at] = 0xff ^ (copy[at] ?? 0);
      done(null, copy);
    },
  });

export const xor = defineLayer({
  contract: 1,
  name: 'xor',
  summary: 'turns every bit over',
  options: { note: { type: 'string', default: 'none', help: 'for nothing' } },
  keeps: ['half-close', 'proves-end', 'tells-cut'],
  adds: [],
  parse: ({ options }) => options,
  wrap: (_options, { stream }) => ({ stream: through(stream, { outgoing: turned(), incoming: turned() }) }),
}) as Layer;
