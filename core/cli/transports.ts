/** `sluice transports`: the table of schemes, made from the transports' own descriptions. */
import type { OptionSpec, Transport } from '../../plugins/contract/index.ts';
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

export async function runTransports(flags: TransportsFlags): Promise<void> {
  const { registry } = await createEnvironment(flags);
  const transports = registry.transports();
  const table = transports.map((one) => ({ ...one, roles: rolesOf(one).split(', ') }));
  process.stdout.write(
    flags.json ? `${JSON.stringify(table, null, 2)}\n` : `${transports.map(describe).join('\n\n')}\n`,
  );
}
