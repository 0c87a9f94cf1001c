/** Changes a configuration file: what the change does not concern keeps its place, its form and its comments. */
import { chmod, chown, rename, rm, stat, writeFile } from 'node:fs/promises';
import { isMap, isScalar, isSeq, parseDocument, type Document } from 'yaml';
import { SluiceError, reasonOf } from '../errors.ts';
import { didYouMean } from '../nearest.ts';
import { readOwnFile } from '../own-file.ts';
import { ConfigDocument } from './document.ts';
import { readConfiguration } from './schema.ts';

const nameOf = (one: unknown): unknown => (isMap(one) ? one.get('name') : undefined);

/** A configuration that is being changed; nothing is written before `save`. */
export class ConfigEdit {
  readonly #file: string;
  readonly #document: Document;

  private constructor(file: string, document: Document) {
    this.#file = file;
    this.#document = document;
  }

  /** @throws SluiceError SLUICE_CONFIG_FILE, SLUICE_CONFIG */
  static async open(file: string): Promise<ConfigEdit> {
    try {
      const text = await readOwnFile(file);
      assertSound(file, text);
      return new ConfigEdit(file, parseDocument(text, { stringKeys: true, version: '1.2' }));
    } catch (error) {
      if (SluiceError.is(error)) throw error;
      throw new SluiceError('SLUICE_CONFIG_FILE', `configuration ${file}: ${reasonOf(error)}`, { cause: error });
    }
  }

  identity(name: string): Readonly<Record<string, unknown>> | undefined {
    const found = this.#document.getIn(['identities', name]);
    return isMap(found) ? (found.toJSON() as Record<string, unknown>) : undefined;
  }

  /** Its limits stay: they are none of what it proves itself by. */
  setIdentity(name: string, entry: Readonly<Record<string, string>>): void {
    const limits = this.identity(name)?.['limits'];
    const now = { ...entry, ...(limits !== undefined && { limits }) };
    this.#document.setIn(['identities', name], this.#document.createNode(now, { flow: true }));
  }

  /**
   * Lets somebody use a link.
   *
   * @returns whether nobody was named there before
   * @throws SluiceError SLUICE_CONFIG if there is no such link, or it is for anyone
   */
  allowOnLink(link: string, name: string): boolean {
    const links = this.#document.get('links');
    const items = isSeq(links) ? links.items : [];
    const at = items.findIndex((one) => nameOf(one) === link);
    if (at < 0) throw this.#missing('link', link, items.map(nameOf));
    return this.#allow(['links', at, 'allow'], `link "${link}"`, name);
  }

  /** Lets somebody be the far side of a tunnel that listens. @returns and @throws as above */
  allowOnTunnel(tunnel: string, name: string): boolean {
    const tunnels = this.#document.get('tunnels');
    const entry = isMap(tunnels) ? tunnels.get(tunnel) : undefined;
    if (!isMap(entry)) throw this.#missing('tunnel', tunnel, isMap(tunnels) ? Object.keys(tunnels.toJSON()) : []);
    if (!entry.has('listen'))
      throw this.#refuse(
        `tunnel "${tunnel}" dials: its far side proves itself by its certificate or pin, and goes by the tunnel's name`,
      );
    return this.#allow(['tunnels', tunnel, 'allow'], `tunnel "${tunnel}"`, name);
  }

  #allow(path: readonly (string | number)[], what: string, name: string): boolean {
    const allow = this.#document.getIn(path, true);
    if (isScalar(allow)) throw this.#refuse(`${what} is for anyone already`);
    if (!isSeq(allow)) this.#document.setIn(path, this.#document.createNode([name], { flow: true }));
    else if (!allow.items.some((one) => isScalar(one) && one.value === name)) allow.add(name);
    return !isSeq(allow);
  }

  #refuse(why: string): SluiceError {
    return new SluiceError('SLUICE_CONFIG', `${this.#file}: ${why}`);
  }

  #missing(kind: string, name: string, names: readonly unknown[]): SluiceError {
    const known = names.filter((one) => typeof one === 'string');
    const list = known.length > 0 ? `; there are: ${known.join(', ')}` : '';
    return this.#refuse(`there is no ${kind} "${name}"${didYouMean(name, known) || list}`);
  }

  /** What the file will be. */
  get text(): string {
    return this.#document.toString({ lineWidth: 0 });
  }

  /** Exchanges the file as a whole; its owner and mode stay. */
  async save(): Promise<void> {
    const { text } = this;
    assertSound(this.#file, text);
    const { mode, uid, gid } = await stat(this.#file);
    const draft = `${this.#file}.${process.pid}.new`;
    try {
      await writeFile(draft, text, { flag: 'wx', mode: 0o600 });
      await chown(draft, uid, gid);
      await chmod(draft, mode & 0o777);
      await rename(draft, this.#file);
    } finally {
      await rm(draft, { force: true });
    }
  }
}

/** @throws SluiceError SLUICE_CONFIG: what was wrong is not made worse, and what was right stays so */
function assertSound(file: string, text: string): void {
  const document = new ConfigDocument(file, text);
  const { configuration, mistakes } = readConfiguration(document.value);
  if (configuration === undefined) throw document.refuse(mistakes);
}
