/** What `authorize` tells: the files to carry over, and the one block that the client's configuration needs. */
import { hostname } from 'node:os';
import { readOwnFile } from '../own-file.ts';
import { ConfigDocument } from '../config/document.ts';
import { readConfiguration, type Configuration, type Endpoint } from '../config/schema.ts';
import { NAME } from '../names.ts';
import { stateBase } from '../folders.ts';

/** An address that lets somebody in, and under which key and name the client has it. */
interface Door {
  readonly kind: 'hosts' | 'tunnels';
  readonly name: string;
  readonly source: Endpoint;
}

interface Made {
  readonly client: Readonly<Record<string, string>>;
  readonly files: readonly string[];
}

const TCP = ['tls', 'wss', 'ws', 'tcp'];
const EVERYWHERE = /\/\/(?:0\.0\.0\.0|\[::\])(?=:)/;
const HERE = /\/\/(?:127\.[\d.]+|\[::1\]|localhost)(?=:)/;

const isSelfSigned = ({ source }: Door): boolean => /\bcert(?:=|":")self\b/.test(JSON.stringify(source));

/** The source's address without its options. */
function textOf(source: Endpoint): string {
  if (typeof source === 'string') return source.replace(/\?.*$/s, '');
  const scheme = TCP.find((one) => one in source);
  return scheme === undefined ? 'ADDRESS' : `${scheme}://${String(source[scheme])}`;
}

/** What the client would dial: by a name that others can reach, and with the pin. */
const dialed = ({ source }: Door): string => textOf(source).replace(EVERYWHERE, `//${hostname()}`);

/** How the client calls this side; a tunnel must not go by the name of one of its identities. */
const ownName = (): string => {
  const [name = ''] = hostname().toLowerCase().split('.');
  return NAME.test(name) ? name : 'server';
};

function entryOf(door: Door, { client }: Made, pin: string | undefined): string {
  const { token, ...options } = client;
  const all = { ...(pin !== undefined && isSelfSigned(door) && { pin }), ...options };
  const query = Object.entries(all).map(([key, value]) => `${key}=${value}`);
  const address = `${dialed(door)}${query.length > 0 ? '?' : ''}${query.join('&')}`;
  const [name, key] = door.kind === 'hosts' ? [door.name, 'sink'] : [ownName(), 'dial'];
  return `  ${name}: { ${key}: "${address}"${token === undefined ? '' : `, token: "${token}"`} }\n`;
}

const blockOf = (kind: Door['kind'], doors: readonly Door[], made: Made, pin: string | undefined): string => {
  const entries = doors.filter((door) => door.kind === kind).map((door) => entryOf(door, made, pin));
  return entries.length > 0 ? `${kind}:\n${entries.join('')}` : '';
};

interface Kept {
  readonly pin: string;
  readonly file: string;
}

/** Looks for the certificate of our own making in a state folder. */
type KeptPin = (state: string) => Promise<Kept | undefined>;

/** The pin of our own certificate (`cert=self`), if there is one yet: of the service's gateway, or of this user's. */
async function ownPin(config: string, keptPin: KeptPin): Promise<Kept | undefined> {
  const service = config.startsWith('/etc/sluice/') ? ['/var/lib/sluice'] : [];
  for (const state of [...service, stateBase(process.env)]) {
    const kept = await keptPin(state);
    if (kept !== undefined) return kept;
  }
  return undefined;
}

/** What of an address the client's owner has to look at. */
function cautions(doors: readonly Door[], own: Kept | undefined): string[] {
  const texts = doors.map(({ source }) => textOf(source));
  const name = hostname();
  const pin =
    own === undefined
      ? 'The certificate is of the gateway\u2019s own making (cert=self): add the pin= that it logs when it starts.\n'
      : `The pin is that of ${own.file}; the gateway logs its own when it starts.\n`;
  return [
    ...(doors.some(isSelfSigned) ? [pin] : []),
    ...(texts.some((text) => EVERYWHERE.test(text))
      ? [`The host name ${name} is a guess: write the one by which the client reaches this machine.\n`]
      : []),
    ...(texts.some((text) => HERE.test(text))
      ? ['An address of this machine alone is of no use elsewhere: write what leads to it from the client.\n']
      : []),
  ];
}

interface Circumstances {
  /** An `allow` list is another now. */
  readonly isChanged: boolean;
  readonly keptPin: KeptPin;
}

function doorsFor(name: string, { links = [], tunnels = {} }: Configuration): Door[] {
  const isFor = ({ allow }: { allow?: string | readonly string[] | undefined }): boolean =>
    Array.isArray(allow) && allow.includes(name);
  const waiting = Object.entries(tunnels).flatMap(([tunnel, entry]) =>
    entry.listen !== undefined && isFor(entry)
      ? [{ kind: 'tunnels', name: tunnel, source: entry.listen } as const]
      : [],
  );
  const own = links.filter((link) => isFor(link) && !/^"?(?:[^:]*\+)?tunnel:/.test(JSON.stringify(link.source)));
  return [...own.map((link) => ({ kind: 'hosts', name: link.name, source: link.source }) as const), ...waiting];
}

export async function clientBlock(
  config: string,
  name: string,
  made: Made,
  { isChanged, keptPin }: Circumstances,
): Promise<string> {
  const { configuration } = readConfiguration(new ConfigDocument(config, await readOwnFile(config)).value);
  const doors = doorsFor(name, configuration ?? {});
  const carry =
    made.files.length > 0 ? `Carry ${made.files.join(' and ')} to ~/.config/sluice/ of the client, by hand.\n` : '';
  if (doors.length === 0)
    return `${carry}Nothing lets ${name} in yet: add it to the "allow:" of a link or of a tunnel that listens, by hand, and reload the gateway.\n`;
  const own = doors.some(isSelfSigned) ? await ownPin(config, keptPin) : undefined;
  const block = blockOf('hosts', doors, made, own?.pin) + blockOf('tunnels', doors, made, own?.pin);
  const next = isChanged
    ? '"allow:" has changed: reload the gateway now (systemctl reload sluice, or SIGHUP).\n'
    : 'A gateway that runs knows it within two seconds.\n';
  return `${carry}Its ~/.config/sluice/sluice.yaml needs:\n\n${block}\n${cautions(doors, own).join('')}${next}`;
}
