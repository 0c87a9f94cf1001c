/** `sluice plugin check`: the suite of `sluice/compliance` against a plugin, without a project around it. */
import {
  Subject,
  bridgeCommand,
  examine,
  layerSubject,
  type Finding,
  type TransportOptions,
} from '../../compliance/index.ts';
import { SluiceError, reasonOf } from '../errors.ts';
import { loadPlugin } from '../loader.ts';
import { printable } from '../log.ts';
import type { Transport } from '../../plugins/contract/index.ts';
import type { PluginCheckFlags } from './flags.ts';

/** Words of a grammar line, and what stands for them in a test. */
const EXAMPLES: readonly (readonly [word: RegExp, example: string])[] = [
  [/HOST:PORT/, '127.0.0.1:0'],
  [/\/?PATH$/, '{folder}/s{n}'],
  [/NAME/, `check-${process.pid}-{n}`],
];

/** An address to listen on, as the grammar suggests it. */
function exampleOf({ grammar }: Transport): string {
  const isUrl = grammar.includes('://');
  return EXAMPLES.reduce(
    (text, [word, example]) => text.replace(word, isUrl && word.source.includes('PATH') ? '/check' : example),
    grammar,
  );
}

const filled = (text: string) => (n: number, folder: string) =>
  text.replaceAll('{n}', String(n)).replaceAll('{folder}', folder);

const quote = (word: string): string => `'${word.replaceAll("'", `'"'"'`)}'`;

/** @throws SluiceError SLUICE_USAGE for a sink that the suite cannot guess */
function placesOf(transport: Transport, { source, sink }: PluginCheckFlags): TransportOptions {
  if (transport.listen !== undefined && transport.dial !== undefined)
    return { source: filled(source ?? exampleOf(transport)), ...(sink !== undefined && { sink: () => sink }) };
  if (sink === undefined || !sink.includes('{bridge}'))
    throw new SluiceError(
      'SLUICE_USAGE',
      `"${transport.name}" has only one role, so that it cannot be joined to itself; say what it dials: --sink "${transport.schemes[0]}:{bridge}", where {bridge} is a command that joins its standard input and output to the suite`,
    );
  return {
    far: async (bench) => {
      const { words, accept } = await bridgeCommand(bench);
      return { sink: sink.replace('{bridge}', words.map(quote).join(' ')), accept };
    },
  };
}

function show({ promise, title, milliseconds, error, skipped }: Finding): string {
  if (skipped !== undefined) return `  –  ${promise}: ${title} (not examined: ${skipped})\n`;
  const time = milliseconds > 1_000 ? ` (${(milliseconds / 1000).toFixed(1)} s)` : '';
  if (error === undefined) return `  ok ${promise}: ${title}${time}\n`;
  const why = printable(reasonOf(error).replaceAll(/\s*\n\s*/g, ' '));
  return `NOT ok ${promise}: ${title}${time}\n       ${why}\n`;
}

/** Resolves with the exit status: 0 if every promise is kept, else 1. */
export async function runPluginCheck(plugin: string, flags: PluginCheckFlags): Promise<number> {
  const { transports, layers } = await loadPlugin(plugin, process.cwd());
  const subjects = [
    ...transports.map((transport) => new Subject(transport, placesOf(transport, flags))),
    ...layers.map((layer) =>
      layerSubject(layer, { source: flags.source ?? '', sink: flags.sink ?? flags.source ?? '' }),
    ),
  ];
  let [kept, broken] = [0, 0];
  for (const subject of subjects) {
    process.stdout.write(`${subject.name}  claims: ${subject.capabilities.join(', ') || 'nothing'}\n`);
    for await (const finding of examine(subject)) {
      process.stdout.write(show(finding));
      if (finding.error === undefined) kept += 1;
      else broken += 1;
    }
  }
  process.stdout.write(
    broken === 0 ? `${kept} checks, every promise is kept\n` : `${broken} of ${kept + broken} checks failed\n`,
  );
  return broken === 0 ? 0 : 1;
}
