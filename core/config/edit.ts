/** Changes a configuration file: what the change does not concern keeps its place, its form and its comments. */
import { chmod, chown, rename, rm, stat, writeFile } from 'node:fs/promises';
import { isMap, isScalar, isSeq, parseDocument, type Document } from 'yaml';
import { SluiceError, reasonOf } from '../errors.ts';
import { readOwnFile } from '../own-file.ts';
import { ConfigDocument } from './document.ts';
import { readConfiguration } from './schema.ts';

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

  setIdentity(name: string, entry: Readonly<Record<string, string>>): void {
    this.#document.setIn(['identities', name], this.#document.createNode(entry, { flow: true }));
  }

  /** Lets somebody use a link. @throws SluiceError SLUICE_CONFIG if there is no such link, or it is for anyone */
  allow(link: string, name: string): void {
    const links = this.#document.get('links');
    const at = isSeq(links) ? links.items.findIndex((one) => isMap(one) && one.get('name') === link) : -1;
    if (at < 0) throw new SluiceError('SLUICE_CONFIG', `${this.#file}: there is no link "${link}"`);
    const allow = this.#document.getIn(['links', at, 'allow'], true);
    if (isScalar(allow)) throw new SluiceError('SLUICE_CONFIG', `${this.#file}: link "${link}" is for anyone already`);
    if (!isSeq(allow)) this.#document.setIn(['links', at, 'allow'], this.#document.createNode([name], { flow: true }));
    else if (!allow.items.some((one) => isScalar(one) && one.value === name)) allow.add(name);
  }

  /** Exchanges the file as a whole; its owner and mode stay. */
  async save(): Promise<void> {
    const text = this.#document.toString({ lineWidth: 0 });
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
