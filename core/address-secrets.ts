/**
 * What an address holds that nobody else may read: left out of the address where it is shown, and out of whatever explains
 * what is wrong with it. Pure.
 */

/** Values that may be secrets, in a text that could not be read yet; where one is kept is none. */
const OPTIONS =
  /([?&](?:(?:token|header|query|proxy-auth)=(?!(?:file|env|credential):)|proxy=(?=[^&]*(?:@|%40))))([^&]*)/gi;

/** `//user:password@` of a URL, wherever it stands; the password may hold what it should not. `//host:1/x@y` is none. */
const USER_INFO = /(\/\/)[^/?&@\s]*:(?!\d{1,5}\/)([^?&\s]*)@/g;

/** Characters. What is shorter is no secret, and stands everywhere. */
const SHORTEST = 4;

export const withoutSecrets = (address: string): string =>
  address.replace(OPTIONS, '$1***').replace(USER_INFO, '$1***@');

/** @param given what else is secret, as options of the long form are: text, or anything that holds some */
export function withoutSecretsOf(written: string, given: readonly unknown[], explanation: string): string {
  const options = [...written.matchAll(OPTIONS)].map(([, , value = '']) => value);
  const passwords = [...written.matchAll(USER_INFO)].flatMap(([, , value = '']) => value.split(/[/@]/));
  const values = [...options, ...passwords, ...given.flatMap(textsOf)];
  const forms = [...values, ...values.map(decodeLoosely)].flatMap((one) => [one, JSON.stringify(one).slice(1, -1)]);
  return forms
    .filter(({ length }) => length >= SHORTEST)
    .toSorted((a, b) => b.length - a.length)
    .reduce((text, secret) => text.replaceAll(secret, '***'), explanation);
}

/** As messages show a value: the whole of it, or a text in it. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [String(value)];
  return [JSON.stringify(value), ...Object.values(value).flatMap(textsOf)];
}

function decodeLoosely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
