/** `sluice check`: what would run, what each pair cannot carry, and what is missing. Starts nothing. */
import { loadConfiguration } from '../config/links.ts';
import { locateConfig } from '../config/locate.ts';
import { jsonSchema } from '../config/schema.ts';
import { inspectLink } from '../inspect.ts';
import { explainLink, type Link } from '../link.ts';
import { createEnvironment } from './environment.ts';
import type { CheckFlags } from './flags.ts';

/** What is wrong comes first; what a pair cannot carry is told once. */
function describe(link: Link, faults: readonly string[]): string {
  const who = link.allow.length > 0 ? [`allow   ${link.allow.join(', ')}`] : [];
  const wrong = faults.map((fault) => `WRONG   ${fault}`);
  const notes = [...new Set(explainLink(link))].map((sentence) => `note    ${sentence}`);
  const lines = [`source  ${link.source.text}`, `sink    ${link.sink.text}`, ...who, ...wrong, ...notes];
  return `${link.name}\n${lines.map((line) => `  ${line}\n`).join('')}`;
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
  const faults = await Promise.all(links.map(inspectLink));
  for (const [index, link] of links.entries()) process.stdout.write(`${describe(link, faults[index] ?? [])}\n`);
  const count = faults.flat().length;
  process.stdout.write(
    count === 0 ? `${file}: ${links.length} link(s), nothing wrong\n` : `${file}: ${count} thing(s) wrong\n`,
  );
  return count === 0 ? 0 : 78;
}
