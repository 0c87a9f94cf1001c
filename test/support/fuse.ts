/** Whether file systems of programs can be mounted here. */
import { accessSync, constants } from 'node:fs';

/** Why not, for `{ skip }`. */
export function whyNoFuse(): string | false {
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return false;
  } catch {
    return 'this machine lets nobody mount: /dev/fuse cannot be opened';
  }
}
