/** `sluice check`: what would run, what each pair cannot carry, and what is missing. Starts nothing. */
import { proofsIn, readIdentities, showEntry } from '../config/identities.ts';
import { loadConfiguration, type Loaded } from '../config/load.ts';
import { viaOf, type Address } from '../address.ts';
import { reasonOf } from '../errors.ts';
import { locateConfig } from '../config/locate.ts';
import { jsonSchema } from '../config/schema.ts';
import { uselessLinks } from '../config/tunnel-links.ts';
import { tunnelsOf } from '../tunnels/plans.ts';
import type { Tunnel } from '../tunnels/tunnel.ts';
import { inspectAddress, inspectLink, reachFault } from '../inspect.ts';
import { explainLink, explainWay, type Link } from '../link.ts';
import { readToken, showReference } from '../token.ts';
import { describeAccess } from './access-table.ts';
import { createEnvironment } from './environment.ts';
import type { Proof } from '../../plugins/contract/index.ts';
import type { CheckFlags } from './flags.ts';

/** What is wrong comes first; what a pair cannot carry is told once. */
function describe(link: Link, faults: readonly string[]): string {
  const who = link.allow.length > 0 ? [`allow   ${link.allow.join(', ')}`] : [];
  const wrong = faults.map((fault) => `WRONG   ${fault}`);
  const notes = [...new Set([...explainWay(link), ...explainLink(link)])].map((sentence) => `note    ${sentence}`);
  const more = [...link.services].map(([name, { text }]) => `service ${name}: ${text}`);
  const lines = [`source  ${link.source.text}`, `sink    ${link.sink.text}`, ...more, ...who, ...wrong, ...notes];
  return `${link.name}\n${lines.map((line) => `  ${line}\n`).join('')}`;
}

const countOf = ({ links, tunnels }: Loaded): string => {
  const count = tunnelsOf(tunnels).length;
  return `${links.length} link(s)${count > 0 ? `, ${count} tunnel(s)` : ''}`;
};

const part = (title: string, lines: readonly string[]): string =>
  lines.length > 0 ? `${title}\n${lines.join('')}\n` : '';

/** Who is known, and where `rsh` finds its hosts. */
function describeOthers({ identities, hosts }: Loaded): string {
  const known = [...identities].map(([name, entry]) => `  ${name}  ${showEntry(entry)}\n`);
  const found = [...hosts].map(([name, host]) => {
    const via = viaOf(host);
    const more = [host.token && showReference(host.token), via && `through ${via}`].filter(Boolean);
    return `  ${[name, host.text, ...more].join('  ')}\n`;
  });
  return part('identities', known) + part('hosts', found);
}

/** With the proxy that each is dialed through. */
const listed = (addresses: readonly Address[]): string =>
  addresses
    .map((address) => {
      const via = viaOf(address);
      return via === undefined ? address.text : `${address.text} through ${via}`;
    })
    .join(', ');

/** Each tunnel, and the services that links offer to its far side. */
function describeTunnels({ links, tunnels }: Loaded): string {
  const offered = (name: string): string =>
    links
      .flatMap(({ source }) => (source.text.startsWith(`tunnel:${name}/`) ? [source.text.slice(8 + name.length)] : []))
      .join(', ') || 'nothing';
  const show = ({ name }: Tunnel, how: string): string => `  ${name}  ${how}  offers ${offered(name)}\n`;
  const dialing = tunnels.dialing.map(({ tunnel, addresses }) => show(tunnel, `dials ${listed(addresses)}`));
  const waiting = tunnels.entrances.flatMap(({ source, waiting: all }) =>
    all.map(({ tunnel, allow }) =>
      show(tunnel, `listens on ${source.text} for ${allow.join(', ') || 'whoever reaches it'}`),
    ),
  );
  return part('tunnels', [...dialing, ...waiting]);
}

/** What the addresses of tunnels lack. */
async function tunnelFaults({ tunnels }: Loaded): Promise<string[]> {
  const addresses = [
    ...tunnels.dialing.flatMap(({ addresses: all }) => all),
    ...tunnels.entrances.map(({ source }) => source),
  ];
  const faults = await Promise.all(
    addresses.map(async (one) => (await inspectAddress(one)).map((fault) => `${one.text}: ${fault}`)),
  );
  const open = tunnels.entrances.flatMap(({ source, waiting }) =>
    waiting.flatMap(({ tunnel, allow }) => reachFault({ title: `tunnel "${tunnel.name}"`, source, allow })),
  );
  return [...open, ...faults.flat()];
}

/** What is wrong with the tokens of identities and hosts. */
async function tokenFaults({ identities, hosts, tunnels }: Loaded): Promise<string[]> {
  const faults: string[] = [];
  const collect = (error: unknown): void => void faults.push(...reasonOf(error).split('\n'));
  await readIdentities(identities).catch(collect);
  for (const { token } of [...hosts.values(), ...tunnels.dialing.flatMap(({ addresses }) => addresses)])
    if (token !== undefined) await readToken(token).catch(collect);
  return faults;
}

/** 78 if a token cannot be read: then nothing would start. */
async function printAccess(loaded: Loaded): Promise<number> {
  process.stdout.write(describeAccess(loaded));
  const faults = await tokenFaults(loaded);
  for (const fault of faults) process.stdout.write(`WRONG   ${fault}\n`);
  return faults.length === 0 ? 0 : 78;
}

/** Resolves with the exit status: 78 if something is missing, else 0. */
export async function runCheck(flags: CheckFlags): Promise<number> {
  const { gateway, registry } = await createEnvironment(flags);
  if (flags.schema) {
    process.stdout.write(`${JSON.stringify(jsonSchema(registry), null, 2)}\n`);
    return 0;
  }
  const file = locateConfig(flags.config, process.env);
  const loaded = await loadConfiguration(file, registry);
  if (flags.access) return printAccess(loaded);
  const { links, identities } = loaded;
  const proofsOf = (name: string): readonly Proof[] => proofsIn(identities.get(name) ?? {});
  for (const tunnel of tunnelsOf(loaded.tunnels)) gateway.tunnels.add(tunnel);
  const faults = await Promise.all(links.map((link) => inspectLink(link, proofsOf)));
  const others = [...uselessLinks(loaded), ...(await tunnelFaults(loaded)), ...(await tokenFaults(loaded))];
  for (const [index, link] of links.entries()) process.stdout.write(`${describe(link, faults[index] ?? [])}\n`);
  process.stdout.write(describeTunnels(loaded) + describeOthers(loaded));
  for (const fault of others) process.stdout.write(`WRONG   ${fault}\n`);
  const count = faults.flat().length + others.length;
  process.stdout.write(
    count === 0 ? `${file}: ${countOf(loaded)}, nothing wrong\n` : `${file}: ${count} thing(s) wrong\n`,
  );
  return count === 0 ? 0 : 78;
}
