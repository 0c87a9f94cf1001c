/** YAML with positions: the only import of `yaml`. A mistake can be told as file:line:column. */
import { LineCounter, isMap, isNode, isScalar, parseDocument, type Document } from 'yaml';
import { SluiceError } from '../errors.ts';

/** One mistake: what was got and what would be right, and where. */
export interface Mistake {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  /** The mistake is the last key of the path itself, not its value. */
  readonly atKey?: boolean;
}

/** Bytes. A gateway of a thousand links is a tenth of it. */
const LARGEST_FILE = 1024 * 1024;

export class ConfigDocument {
  readonly file: string;
  readonly value: unknown;
  readonly #document: Document;
  readonly #lines: LineCounter;

  /** @throws SluiceError SLUICE_CONFIG for what is no YAML, and for a key that stands twice. */
  constructor(file: string, text: string) {
    this.file = file;
    this.#lines = new LineCounter();
    if (text.length > LARGEST_FILE) throw new SluiceError('SLUICE_CONFIG', `${file}: larger than 1 MiB`);
    this.#document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      stringKeys: true,
      version: '1.2',
    });
    const errors = this.#document.errors.map(({ pos, message }) => `${this.#at(pos[0])}: ${message}`);
    if (errors.length > 0) throw new SluiceError('SLUICE_CONFIG', errors.join('\n'));
    this.value = this.#toValue();
  }

  #toValue(): unknown {
    try {
      return this.#document.toJS({ maxAliasCount: 100 });
    } catch (cause) {
      throw new SluiceError('SLUICE_CONFIG', `${this.file}: ${(cause as Error).message}`, { cause });
    }
  }

  #at(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.file}:${line}:${col}`;
  }

  /** Where the value (or the key) at a path stands, or the nearest thing around it. */
  #offset({ path, atKey }: Mistake): number {
    const parent = path.length > 1 ? this.#document.getIn(path.slice(0, -1), true) : this.#document.contents;
    if (atKey && isMap(parent)) {
      const pair = parent.items.find(({ key }) => isScalar(key) && key.value === path.at(-1));
      if (isScalar(pair?.key) && pair.key.range) return pair.key.range[0];
    }
    for (let length = path.length; length >= 0; length -= 1) {
      const node = length === 0 ? this.#document.contents : this.#document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return node.range[0];
    }
    return 0;
  }

  /** All mistakes as one error, a line each, in the order of the file. */
  refuse(mistakes: readonly Mistake[]): SluiceError {
    const placed = mistakes.map((mistake) => ({ offset: this.#offset(mistake), message: mistake.message }));
    const lines = placed
      .toSorted((a, b) => a.offset - b.offset)
      .map(({ offset, message }) => `${this.#at(offset)}: ${message}`);
    return new SluiceError('SLUICE_CONFIG', lines.join('\n'));
  }
}
