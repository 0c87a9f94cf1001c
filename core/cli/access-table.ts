/** `sluice check --access`: who can reach what. Pure. */
import { showEntry } from '../config/identities.ts';
import type { Loaded } from '../config/load.ts';
import { ANYONE, sinkFor, servicesOf, type Link } from '../link.ts';

interface Door {
  readonly title: string;
  readonly source: string;
  readonly allow: readonly string[];
  /** What is reached by name of a service. */
  readonly reached: readonly string[];
}

const reachedBy = (link: Link): string[] =>
  servicesOf(link).flatMap((service) => {
    const sink = sinkFor(link, service);
    return sink === undefined ? [] : [`${service} → ${sink.text}`];
  });

const doorsOf = ({ links, tunnels }: Loaded): Door[] => [
  ...links.map((link) => ({
    title: `link ${link.name}`,
    source: link.source.text,
    allow: link.allow,
    reached: reachedBy(link),
  })),
  ...tunnels.entrances.flatMap(({ source, waiting }) =>
    waiting.map(({ tunnel, allow }) => ({
      title: `tunnel ${tunnel.name}`,
      source: source.text,
      allow,
      reached: [`services of links whose source is tunnel:${tunnel.name}/…`],
    })),
  ),
];

const show = ({ title, source, reached }: Door): string =>
  `  ${title}  ${source}\n${reached.map((one) => `    ${one}\n`).join('')}`;

/** Doors by who may go in by them; whoever may go nowhere is told, too. */
export function describeAccess(loaded: Loaded): string {
  const doors = doorsOf(loaded);
  const group = (title: string, may: (door: Door) => boolean): string => {
    const open = doors.filter(may).map(show).join('');
    return `${title}\n${open || '  nothing\n'}`;
  };
  const known = [...loaded.identities].map(([name, entry]) =>
    group(`${name}  (${showEntry(entry)})`, ({ allow }) => allow.includes(name)),
  );
  return [
    group('anyone', ({ allow }) => allow.includes(ANYONE)),
    group('whoever reaches it on this machine', ({ allow }) => allow.length === 0),
    ...known,
  ].join('\n');
}
