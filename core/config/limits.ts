/** `limits` of a configuration, as admission takes them. Pure. */
import { admissionLimits, type AdmissionLimits } from '../admission/limits.ts';
import type { Configuration } from './schema.ts';

const camel = (key: string): string => key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** YAML 1.2 takes `yes` for a word. */
const plain = (value: unknown): unknown => (value === 'yes' ? true : value === 'no' ? false : value);

/** Keys are those of the schema, which are those of `AdmissionLimits` in the writing of a configuration. */
export const readLimits = (written: Configuration['limits']): AdmissionLimits =>
  admissionLimits(Object.fromEntries(Object.entries(written ?? {}).map(([key, value]) => [camel(key), plain(value)])));
