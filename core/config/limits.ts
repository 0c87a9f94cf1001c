/** `limits` of a configuration, as admission takes them. Pure. */
import { admissionLimits, type AdmissionLimits, type IdentityLimits } from '../admission/limits.ts';
import type { Configuration } from './schema.ts';

type OwnLimits = NonNullable<Configuration['identities']>[string]['limits'];

const camel = (key: string): string => key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** YAML 1.2 takes `yes` for a word. */
const plain = (value: unknown): unknown => (value === 'yes' ? true : value === 'no' ? false : value);

/** Keys are those of the schema, which are those of `AdmissionLimits` in the writing of a configuration. */
const read = (written: object): Partial<AdmissionLimits> =>
  Object.fromEntries(Object.entries(written).map(([key, value]) => [camel(key), plain(value)]));

export const readLimits = (written: Configuration['limits'] = {}): AdmissionLimits => admissionLimits(read(written));

/** What of them is another for one identity. */
export const readOwnLimits = (written: OwnLimits = {}): Partial<IdentityLimits> => read(written);

const kebab = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** `commands-per-identity 2, rate-per-identity 5`, for people. */
export const showOwnLimits = (limits: Partial<IdentityLimits>): string =>
  Object.entries(limits)
    .map(([key, value]) => `${kebab(key)} ${value}`)
    .join(', ');
