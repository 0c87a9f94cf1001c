/** One option of a transport, as data: validation, help, the JSON Schema and the tables are made from it. */
export interface OptionSpec {
  /**
   * - `string`, `choice` (one of `values`), `boolean` (`yes`/`no`), `integer` (`min`..`max`)
   * - `path`: made absolute by the core (`~/`, the working directory or the configuration's folder)
   * - `duration`: `500ms`, `20s`, `5m`, `1h`; reaches the transport in milliseconds
   * - `reference`: where a secret is kept, `file:PATH`, `env:NAME` or `credential:NAME`; a dial reads it by `readSecret`
   * - `list`: may be repeated; `map`: `NAME=VALUE`, may be repeated
   */
  readonly type: 'string' | 'choice' | 'boolean' | 'integer' | 'path' | 'duration' | 'reference' | 'list' | 'map';
  readonly help: string;
  /** Its value is never shown, in a log or a message; `user-info`: one with an `@`, which follows a user and a password. */
  readonly secret?: true | 'user-info';
  /** The role in which the option has a meaning; absent: both. In the other role it is an error. */
  readonly role?: 'source' | 'sink';
  readonly values?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly default?: string | number | boolean;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

interface OptionTypes {
  string: string;
  path: string;
  boolean: boolean;
  integer: number;
  duration: number;
  reference: string;
  list: readonly string[];
  map: Readonly<Record<string, string>>;
}

type ValueOf<O> = O extends { type: 'choice'; values: readonly (infer V)[] }
  ? V
  : O extends { type: infer T extends keyof OptionTypes }
    ? OptionTypes[T]
    : string;

/** The values a table of specs yields: an option with a default, a list or a map is always there. */
export type Options<S extends OptionSpecs> = {
  readonly [K in keyof S]: S[K] extends { default: string | number | boolean } | { type: 'list' | 'map' }
    ? ValueOf<S[K]>
    : ValueOf<S[K]> | undefined;
};
