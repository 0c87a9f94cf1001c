/** What `authorize` tells: the files to carry over, and the one block that the client's configuration needs. Pure but for the host's name. */
import { hostname } from 'node:os';
import { readOwnFile } from '../own-file.ts';
import { ConfigDocument } from '../config/document.ts';
import { readConfiguration, type Configuration, type Endpoint } from '../config/schema.ts';

type LinkEntry = NonNullable<Configuration['links']>[number];

/** What the client would dial: the source's address without its options, by a name that others can reach. */
function dialed(source: Endpoint): string | undefined {
  if (typeof source !== 'string' || !/^(?:tls|wss|ws|tcp):/.test(source)) return undefined;
  return source.replace(/\?.*$/s, '').replace(/\/\/(?:0\.0\.0\.0|\[::\])(?=:)/, `//${hostname()}`);
}

const isFor = ({ allow }: LinkEntry, name: string): boolean => Array.isArray(allow) && allow.includes(name);

interface Made {
  readonly client: Readonly<Record<string, string>>;
  readonly files: readonly string[];
}

function hostEntry(link: LinkEntry, { client }: Made): string {
  const address = dialed(link.source) ?? (typeof link.source === 'string' ? link.source : 'ADDRESS');
  const { token, ...options } = client;
  const query = Object.entries(options).map(([key, value]) => `${key}=${value}`);
  const sink = `${address}${query.length > 0 ? '?' : ''}${query.join('&')}`;
  return `  ${link.name}: { sink: "${sink}"${token === undefined ? '' : `, token: "${token}"`} }\n`;
}

export async function clientBlock(config: string, name: string, made: Made): Promise<string> {
  const { configuration } = readConfiguration(new ConfigDocument(config, await readOwnFile(config)).value);
  const links = (configuration?.links ?? []).filter((link) => isFor(link, name));
  const carry =
    made.files.length > 0 ? `Carry ${made.files.join(' and ')} to ~/.config/sluice/ of the client, by hand.\n` : '';
  if (links.length === 0)
    return `${carry}No link lets ${name} in yet: name it in an "allow:", or run this with --link LINK --replace.\n`;
  const block = links.map((link) => hostEntry(link, made)).join('');
  const self = links.some(({ source }) => JSON.stringify(source).includes('cert=self'))
    ? 'Its server has a certificate of its own making (cert=self): add the pin= that the gateway logs when it starts.\n'
    : '';
  return `${carry}${self}Its ~/.config/sluice/sluice.yaml needs:\n\nhosts:\n${block}\nA gateway that runs knows it within two seconds; a changed "allow:" counts from a reload on (SIGHUP).\n`;
}
