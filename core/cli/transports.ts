/** `sluice transports`: the table of schemes and layers, made from their own descriptions. */
import type { Layer, OptionSpec, Transport } from '../../plugins/contract/index.ts';
import { COMMON_OPTIONS } from '../address.ts';
import { BUNDLED_KINDS } from '../bundled-plugins.ts';
import { loadPlugin } from '../loader.ts';
import { createEnvironment } from './environment.ts';
import type { TransportsFlags } from './flags.ts';

const rolesOf = ({ listen, dial }: Transport): string =>
  [listen && 'source', dial && 'sink'].filter((role) => role !== undefined).join(', ');

function describeOption(name: string, { type, values, role, default: value, help }: OptionSpec): string {
  const shape = values?.join('|') ?? type;
  const notes = [
    role && `${role} only`,
    value !== undefined && `default ${type === 'duration' ? `${Number(value) / 1000}s` : value}`,
  ]
    .filter(Boolean)
    .join(', ');
  return `    ${`${name}=${shape}`.padEnd(24)} ${help}${notes && ` (${notes})`}`;
}

function describe(transport: Transport): string {
  const { grammar, summary, options, capabilities } = transport;
  const lines = Object.entries(options).map(([name, spec]) => describeOption(name, spec));
  return [
    `${grammar.padEnd(24)} ${rolesOf(transport).padEnd(13)} ${summary}`,
    `    carries: ${capabilities.join(', ')}`,
    ...lines,
  ].join('\n');
}

function describeLayer({ name, summary, options, keeps, adds }: Layer): string {
  const lines = Object.entries(options).map(([key, spec]) => describeOption(`${name}.${key}`, spec));
  const promises = [
    `keeps: ${keeps.join(', ') || 'nothing'}`,
    ...(adds.length > 0 ? [`adds: ${adds.join(', ')}`] : []),
  ];
  return [
    `${`${name}+SCHEME:…`.padEnd(24)} ${'layer'.padEnd(13)} ${summary}`,
    `    ${promises.join('; ')}`,
    ...lines,
  ].join('\n');
}

const describeCommon = (): string =>
  [
    'Options of every address',
    ...Object.entries<OptionSpec>(COMMON_OPTIONS).map(([name, spec]) => describeOption(name, spec)),
  ].join('\n');

async function describeBundled(): Promise<string> {
  const lines = Object.entries(BUNDLED_KINDS).map(async ([name, kind]) => {
    const { transports, layers } = await loadPlugin(`sluice/${name}`, process.cwd());
    const summaries = [...transports, ...layers].map(({ summary }) => summary).join('; ');
    return `    ${`sluice/${name}`.padEnd(18)} ${kind.padEnd(10)} ${summaries}`;
  });
  const title = 'Plugins that come with Sluice; --plugin sluice/NAME, or "plugins:", shows and uses them';
  return [title, ...(await Promise.all(lines))].join('\n');
}

export async function runTransports(flags: TransportsFlags): Promise<void> {
  const { registry } = await createEnvironment(flags);
  const transports = registry.transports();
  const layers = registry.layers();
  const table = [
    ...transports.map((one) => ({ ...one, roles: rolesOf(one).split(', ') })),
    ...layers.map((one) => ({ ...one, roles: ['layer'] })),
  ];
  if (flags.json) return void process.stdout.write(`${JSON.stringify(table, null, 2)}\n`);
  const parts = [...transports.map(describe), ...layers.map(describeLayer), describeCommon(), await describeBundled()];
  process.stdout.write(`${parts.join('\n\n')}\n`);
}
