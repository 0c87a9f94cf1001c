/** Which configuration file: the first that exists, nothing merged, and never one from the working directory. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SluiceError } from '../errors.ts';
import { baseOrHome } from '../xdg.ts';

const SYSTEM = '/etc/sluice/sluice.yaml';

/** ` (… was passed over)` where something is not found in this user's file, and the system has one, too. */
export function passedOver(file: string, { SLUICE_CONFIG }: NodeJS.ProcessEnv, exists = existsSync): string {
  const isUsual = SLUICE_CONFIG === undefined && file.endsWith('/sluice/sluice.yaml') && file !== SYSTEM;
  return isUsual && exists(SYSTEM) ? ` (${SYSTEM} was passed over; -c names it)` : '';
}

/** @param remedy what the command at hand takes instead */
export function locateConfig(
  flag: string | undefined,
  environment: NodeJS.ProcessEnv,
  remedy = 'name one with -c FILE',
): string {
  const named = flag ?? environment['SLUICE_CONFIG'];
  if (named !== undefined) return resolve(named);
  const base = baseOrHome(environment, 'XDG_CONFIG_HOME', '.config');
  const places = [join(base, 'sluice/sluice.yaml'), SYSTEM];
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new SluiceError(
    'SLUICE_CONFIG_FILE',
    `there is no configuration: ${places.join(' and ')} do not exist; ${remedy}`,
  );
}
