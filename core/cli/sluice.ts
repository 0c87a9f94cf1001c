#!/usr/bin/env node
/**
 * The command's entry. It looks at the Node that runs it before anything is loaded that an old Node cannot read: keep
 * it to syntax that Node 12 knows, and to one dynamic import.
 */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < 22 || (major === 22 && minor < 22)) {
  process.stderr.write(
    `sluice: needs Node 22.22 or newer, and this is ${process.versions.node}; see https://nodejs.org\n`,
  );
  process.exitCode = 255;
} else {
  void import('./main.ts').then(({ main }) => main(process.argv.slice(2)));
}
