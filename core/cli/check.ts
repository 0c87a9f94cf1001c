/** `sluice check`: what would run, what each pair cannot carry, and what is missing. Starts nothing. */
import { loadConfiguration } from '../config/links.ts';
import { locateConfig } from '../config/locate.ts';
import { jsonSchema } from '../config/schema.ts';
import { explainLink, type Link } from '../link.ts';
import { createEnvironment } from './environment.ts';
import type { CheckFlags } from './flags.ts';

/** What the link's files and programs lack: found by looking, not by opening. */
async function faultsOf({ source, sink }: Link): Promise<string[]> {
  const faults = await Promise.all(
    [source, sink].map(async ({ transport, parsed, role }) => (await transport.inspect?.(parsed, role)) ?? []),
  );
  return faults.flat();
}

function describe(link: Link, faults: readonly string[]): string {
  const who = link.allow.length > 0 ? `\n  allow   ${link.allow.join(', ')}` : '';
  const notes = explainLink(link).map((sentence) => `\n  note    ${sentence}`);
  const wrong = faults.map((fault) => `\n  WRONG   ${fault}`);
  return `${link.name}\n  source  ${link.source.text}\n  sink    ${link.sink.text}${who}${notes.join('')}${wrong.join('')}\n`;
}

/** Resolves with the exit status: 78 if something is missing, else 0. */
export async function runCheck(flags: CheckFlags): Promise<number> {
  const { registry } = await createEnvironment(flags);
  if (flags.schema) {
    process.stdout.write(`${JSON.stringify(jsonSchema(registry), null, 2)}\n`);
    return 0;
  }
  const file = locateConfig(flags.config, process.env);
  const links = await loadConfiguration(file, registry);
  const faults = await Promise.all(links.map(faultsOf));
  for (const [index, link] of links.entries()) process.stdout.write(`${describe(link, faults[index] ?? [])}\n`);
  const count = faults.flat().length;
  process.stdout.write(
    count === 0 ? `${file}: ${links.length} link(s), nothing wrong\n` : `${file}: ${count} thing(s) wrong\n`,
  );
  return count === 0 ? 0 : 78;
}
