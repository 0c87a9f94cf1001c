/** `sluice check --access`: who can reach what. Pure. */
import { allows } from '../access.ts';
import { showEntry } from '../config/identities.ts';
import type { Loaded } from '../config/load.ts';
import { ANYONE, sinkFor, servicesOf, type Link } from '../link.ts';
import { tunnelOf } from '../tunnels/tunnel-address.ts';
import { tunnelsOf } from '../tunnels/plans.ts';

interface Door {
  readonly title: string;
  readonly source: string;
  readonly allow: readonly string[];
  /** What somebody reaches by name of a service; `undefined` is whoever proves nothing. */
  readonly reached: (name: string | undefined) => readonly string[];
}

const reachedBy = (link: Link): string[] =>
  servicesOf(link).flatMap((service) => {
    const sink = sinkFor(link, service);
    return sink === undefined ? [] : [`${service} → ${sink.text}`];
  });

/** What links offer to the far side of a tunnel, of that what somebody may use. */
const offeredIn =
  (tunnel: string, links: readonly Link[]): Door['reached'] =>
  (name) => {
    const identity = name === undefined ? undefined : { name };
    const open = links.filter(({ source, allow }) => tunnelOf(source) === tunnel && allows(allow, identity));
    const lines = open.map(({ source, sink }) => `${source.text.replace(/^.*?tunnel:[^/]*\//, '')} → ${sink.text}`);
    return lines.length > 0 ? lines : ['no service'];
  };

/** A link for the far side of a tunnel is behind the tunnel's door, and has none of its own. */
const doorsOf = ({ links, tunnels }: Loaded): Door[] => [
  ...links
    .filter(({ source }) => tunnelOf(source) === undefined)
    .map((link) => ({
      title: `link ${link.name}`,
      source: link.source.text,
      allow: link.allow,
      reached: () => reachedBy(link),
    })),
  ...tunnels.entrances.flatMap(({ source, waiting }) =>
    waiting.map(({ tunnel, allow }) => ({
      title: `tunnel ${tunnel.name}`,
      source: source.text,
      allow,
      reached: offeredIn(tunnel.name, links),
    })),
  ),
];

const show = ({ title, source, reached }: Door, name: string | undefined): string =>
  `  ${title}  ${source}\n${reached(name)
    .map((one) => `    ${one}\n`)
    .join('')}`;

/** Those that this side dials: who is there needs no identity, and goes by the tunnel's name. */
const dialedGroups = ({ links, tunnels }: Loaded): string[] =>
  tunnelsOf({ dialing: tunnels.dialing, entrances: [] }).map(({ name }) => {
    const lines = offeredIn(name, links)(name).map((one) => `  ${one}\n`);
    return `the far side of tunnel ${name}\n${lines.join('')}`;
  });

/** Doors by who may go in by them; whoever may go nowhere is told, too. */
export function describeAccess(loaded: Loaded): string {
  const doors = doorsOf(loaded);
  const group = (title: string, name: string | undefined, may: (door: Door) => boolean): string => {
    const open = doors.filter(may).map((door) => show(door, name));
    return `${title}\n${open.join('') || '  nothing\n'}`;
  };
  const known = [...loaded.identities].map(([name, entry]) =>
    group(`${name}  (${showEntry(entry)})`, name, ({ allow }) => allow.includes(name)),
  );
  return [
    group('anyone', undefined, ({ allow }) => allow.includes(ANYONE)),
    group('whoever reaches it on this machine', undefined, ({ allow }) => allow.length === 0),
    ...dialedGroups(loaded),
    ...known,
  ].join('\n');
}
