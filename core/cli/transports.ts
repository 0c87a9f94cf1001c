/** `sluice transports`: the table of schemes and layers, made from their own descriptions. */
import type { Layer, OptionSpec, Transport } from '../../plugins/contract/index.ts';
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

export async function runTransports(flags: TransportsFlags): Promise<void> {
  const { registry } = await createEnvironment(flags);
  const transports = registry.transports();
  const layers = registry.layers();
  const table = [
    ...transports.map((one) => ({ ...one, roles: rolesOf(one).split(', ') })),
    ...layers.map((one) => ({ ...one, roles: ['layer'] })),
  ];
  const text = [...transports.map(describe), ...layers.map(describeLayer)].join('\n\n');
  process.stdout.write(flags.json ? `${JSON.stringify(table, null, 2)}\n` : `${text}\n`);
}
