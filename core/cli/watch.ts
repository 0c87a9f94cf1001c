/**
 * What a running gateway takes from files without being told: certificates, and who is known. Links change by SIGHUP alone.
 *
 * The configuration's `identities` and the files of their tokens are looked at each second, and read when one of them has
 * changed, so that `sluice revoke` counts at once. A token that cannot be read makes its identity nobody; a file that is no
 * configuration changes nothing. Certificates are read each minute.
 */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConfigDocument } from '../config/document.ts';
import { readIdentityEntries, readKnownIdentities } from '../config/identities.ts';
import { readConfiguration } from '../config/schema.ts';
import { reasonOf } from '../errors.ts';
import type { Gateway } from '../gateway.ts';
import type { CoreLog } from '../log.ts';
import { readOwnFile } from '../own-file.ts';

const IDENTITIES = 1_000;
const CERTIFICATES = 60_000;

async function stampOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(file);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unreadable';
  }
}

export class KnownFiles {
  readonly #file: string;
  readonly #gateway: Gateway;
  readonly #log: CoreLog;
  #tokens: readonly string[] = [];
  #stamp = '';
  #isLooking = false;
  #timers: NodeJS.Timeout[] = [];
  #told = '';

  constructor(file: string, gateway: Gateway, log: CoreLog) {
    this.#file = file;
    this.#gateway = gateway;
    this.#log = log;
  }

  /** @param tokens files of tokens that are known now */
  async start(tokens: readonly string[]): Promise<void> {
    await this.remember(tokens);
    const look = (): void => void this.#look();
    const renew = (): void => void this.#renew();
    this.#timers = [setInterval(look, IDENTITIES).unref(), setInterval(renew, CERTIFICATES).unref()];
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** What is in effect now, after a reload. */
  async remember(tokens: readonly string[]): Promise<void> {
    this.#tokens = tokens;
    this.#stamp = await this.#stampNow();
  }

  async #stampNow(): Promise<string> {
    return (await Promise.all([this.#file, ...this.#tokens].map(stampOf))).join('\n');
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const stamp = await this.#stampNow();
      if (stamp !== this.#stamp) await this.#read(stamp);
    } catch (error) {
      this.#tell('who is known cannot be read; what was known stays', error);
    } finally {
      this.#isLooking = false;
    }
  }

  async #read(stamp: string): Promise<void> {
    this.#stamp = stamp;
    const document = new ConfigDocument(this.#file, await readOwnFile(this.#file));
    const { configuration, mistakes } = readConfiguration(document.value);
    if (configuration === undefined) throw document.refuse(mistakes);
    const entries = readIdentityEntries(configuration.identities, dirname(this.#file));
    if (entries.mistakes.length > 0) throw document.refuse(entries.mistakes);
    const { identities, faults, files } = await readKnownIdentities(entries.read);
    for (const fault of faults) this.#log.warn('an identity is nobody until its token can be read', { reason: fault });
    this.#gateway.know(identities);
    await this.remember(files);
    await this.#gateway.review();
    await this.#renew();
    this.#log.info('identities read', { known: identities.names().length });
  }

  async #renew(): Promise<void> {
    try {
      (await this.#gateway.renew())();
      await this.#gateway.review();
    } catch (error) {
      this.#tell('certificates cannot be read; those before them stay', error);
    }
  }

  /** Once for each reason. */
  #tell(message: string, error: unknown): void {
    const reason = reasonOf(error);
    if (reason !== this.#told) this.#log.error(message, { reason });
    this.#told = reason;
  }
}
