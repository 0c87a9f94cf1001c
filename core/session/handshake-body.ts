/** What a handshake frame says: a JSON object. Pure. A field that is not what it should be breaks the protocol. */
import { ProtocolError, frameName, type Frame } from './frames.ts';

export class Body {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #frame: string;

  /** @throws ProtocolError if the payload is no JSON object */
  constructor({ type, payload }: Frame) {
    this.#frame = frameName(type);
    let fields: unknown;
    try {
      fields = JSON.parse(payload.toString());
    } catch (cause) {
      throw new ProtocolError(`the body of ${this.#frame} is no JSON`, { cause });
    }
    if (typeof fields !== 'object' || fields === null)
      throw new ProtocolError(`the body of ${this.#frame} is no object`);
    this.#fields = { ...fields };
  }

  text(name: string): string {
    const value = this.#fields[name];
    if (typeof value === 'string') return value;
    throw new ProtocolError(`"${name}" of ${this.#frame} is no text`);
  }

  optionalText(name: string): string | undefined {
    return this.#fields[name] === undefined ? undefined : this.text(name);
  }

  optionalCount(name: string): number | undefined {
    return this.#fields[name] === undefined ? undefined : this.count(name);
  }

  flag(name: string): boolean {
    return this.#fields[name] === true;
  }

  /** A whole number of bytes or a version. */
  count(name: string): number {
    const value = this.#fields[name];
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    throw new ProtocolError(`"${name}" of ${this.#frame} is no whole number`);
  }

  counts(name: string): readonly number[] {
    const value = this.#fields[name];
    return Array.isArray(value) ? value.filter((one) => typeof one === 'number') : [];
  }

  /** Bytes in base64, exactly so many: a key that is shorter is none. */
  bytes(name: string, length: number): Buffer {
    const bytes = Buffer.from(this.text(name), 'base64');
    if (bytes.length === length) return bytes;
    throw new ProtocolError(`"${name}" of ${this.#frame} is not ${length} bytes long`);
  }
}
