/** The files of a new plugin. Each is complete, and the whole passes its own test. */

const TRANSPORT = (name: string): string => `import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { defineTransport } from 'sluice/plugin';

/** A start: sockets in the file system. Put what your transport speaks in place of node:net. */
export default defineTransport({
  contract: 1,
  name: '${name}',
  schemes: ['${name}'],
  grammar: '${name}:/PATH',
  summary: 'what ${name} is, in one line',
  options: { backlog: { type: 'integer', min: 1, default: 511, help: 'connections that may wait' } },
  capabilities: ['half-close'],

  parse({ target, options, resolvePath }) {
    if (target === '') throw new Error('expected a path after "${name}:"');
    return { path: resolvePath(target), ...options };
  },
  occupies: ({ path }) => path,

  async listen({ path, backlog }, { accept, log, signal }) {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (stream) =>
      accept({ stream, peer: { address: '${name}' } }),
    );
    await once(server.listen({ path, backlog }), 'listening');
    server.on('error', (error) => log.warn('accept failed', { reason: error.message }));
    const stopped = signal.aborted ? Promise.resolve() : once(signal, 'abort');
    return { address: \`${name}:\${path}\`, reach: 'local', closed: stopped.then(() => void server.close()) };
  },

  async dial({ path }, { signal }) {
    signal.throwIfAborted();
    const stream = connect({ path, signal, allowHalfOpen: true });
    await once(stream, 'connect');
    return { stream, peer: { address: \`${name}:\${path}\` } };
  },
});
`;

const LAYER = (name: string): string => `import { Transform } from 'node:stream';
import { defineLayer, through } from 'sluice/plugin';

/** A start: every byte is turned by a number. Put what your layer does in place of it. */
const turned = (by: number) =>
  new Transform({ transform: (chunk, _encoding, done) => done(null, chunk.map((byte: number) => byte + by)) });

export default defineLayer({
  contract: 1,
  name: '${name}',
  summary: 'what ${name} does, in one line',
  options: { by: { type: 'integer', min: 0, max: 255, default: 13, help: 'what is added to each byte' } },
  keeps: ['half-close', 'proves-end', 'tells-cut'],
  adds: [],

  parse: ({ options }) => options,
  wrap: ({ by }, { stream }) => ({ stream: through(stream, { outgoing: turned(by), incoming: turned(256 - by) }) }),
});
`;

const TEST = (name: string, isLayer: boolean): string =>
  isLayer
    ? `import { layerSuite } from 'sluice/compliance';
import layer from './${name}.ts';

layerSuite(layer);
`
    : `import { transportSuite } from 'sluice/compliance';
import transport from './${name}.ts';

transportSuite(transport, { source: (n, folder) => \`${name}:\${folder}/\${n}\` });
`;

const README = (name: string, isLayer: boolean): string => `# sluice-${name}

A ${isLayer ? 'layer' : 'transport'} for Sluice: \`${isLayer ? `${name}+tcp://host:7000` : `${name}:/path`}\`.

    npm install sluice-${name}
    sluice connect --plugin sluice-${name} "${isLayer ? `${name}+tcp://host:7000` : `${name}:/path`}"

or \`plugins: [sluice-${name}]\` in a configuration. \`npm test\` (or \`sluice plugin check .\`) shows that it keeps the promises of the
contract. \`package.json\` names the Sluice that it is tested with by its folder on the machine where this package was made: put in its
place where yours comes from, before you publish or let a CI run it.
`;

const CI = `name: test
on: [push, pull_request]
permissions: { contents: read }
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-node@v4
        with: { node-version: 24 }
      - run: npm install
      - run: npm test
`;

/** @param sluice the folder of the running Sluice, if it is one */
const manifest = (name: string, sluice: string | undefined): string =>
  `${JSON.stringify(
    {
      name: `sluice-${name}`,
      version: '0.1.0',
      description: `${name} for Sluice`,
      keywords: ['sluice', 'sluice-plugin'],
      license: 'MIT',
      type: 'module',
      main: `./${name}.ts`,
      files: [`${name}.ts`, 'README.md'],
      scripts: { test: sluice === undefined ? 'sluice plugin check .' : 'node --test' },
      ...(sluice !== undefined && { devDependencies: { sluice: `file:${sluice}` } }),
      engines: { node: '>=22.22.0' },
    },
    null,
    2,
  )}\n`;

/** Path in the package → text. */
export function pluginFiles(name: string, isLayer: boolean, sluice: string | undefined): Record<string, string> {
  return {
    'package.json': manifest(name, sluice),
    [`${name}.ts`]: isLayer ? LAYER(name) : TRANSPORT(name),
    ...(sluice !== undefined && { [`${name}.test.ts`]: TEST(name, isLayer) }),
    'README.md': README(name, isLayer),
    '.github/workflows/test.yml': CI,
    '.gitignore': 'node_modules\n',
  };
}
