/** The numbers of admission: what a configuration may set under `limits`, and what follows from the system. */
import { readFileSync } from 'node:fs';
import { LIMITS } from '../limits.ts';

export interface AdmissionLimits {
  /** Connections of the gateway, those of sessions among them. */
  readonly connections: number;
  readonly connectionsPerIdentity: number;
  /** New ones of one identity in a second; twice as many at once. */
  readonly ratePerIdentity: number;
  readonly streamsPerSession: number;
  readonly commands: number;
  readonly commandsPerIdentity: number;
  /** Commands that may wait until others have ended. */
  readonly commandsWaiting: number;
  /** Connections of one source that have not yet proved who they are. */
  readonly arriving: number;
  readonly arrivingPerSource: number;
  /** TLS handshakes that begin in a second, of all and of one source; twice as many at once. */
  readonly handshakes: number;
  readonly handshakesPerSource: number;
  /** Whether limits and penalties by source apply to this machine, too. */
  readonly loopback: boolean;
  /** Descriptors that this process may have open. */
  readonly descriptors: number;
}

/** Those that may differ by identity. */
export type IdentityLimits = Pick<
  AdmissionLimits,
  'connectionsPerIdentity' | 'ratePerIdentity' | 'streamsPerSession' | 'commandsPerIdentity'
>;

/** The soft limit, which Node has raised to the hard one. */
function openFiles(): number {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit);
  } catch {
    return Number.POSITIVE_INFINITY; // not Linux
  }
}

/** Descriptors for files, listeners, DNS, and what starts a command. */
const RESERVE = 64;
const OF_COMMAND = 4;
const OF_CONNECTION = 2;

/** What a configuration sets counts, but for what the system cannot hold. */
export function admissionLimits(given: Partial<AdmissionLimits> = {}, files = openFiles()): AdmissionLimits {
  const descriptors = given.descriptors ?? Math.max(files - RESERVE, 16);
  const commands = Math.max(Math.min(given.commands ?? LIMITS.commands, Math.floor(descriptors / 4 / OF_COMMAND)), 1);
  const most = Math.max(Math.floor((descriptors - commands * OF_COMMAND) / OF_CONNECTION), 1);
  return {
    connectionsPerIdentity: LIMITS.connectionsPerIdentity,
    ratePerIdentity: LIMITS.ratePerIdentity,
    streamsPerSession: LIMITS.streamsPerSession,
    commandsPerIdentity: LIMITS.commandsPerIdentity,
    commandsWaiting: LIMITS.commandsWaiting,
    arriving: LIMITS.arriving,
    arrivingPerSource: LIMITS.arrivingPerSource,
    handshakes: LIMITS.handshakes,
    handshakesPerSource: LIMITS.handshakesPerSource,
    loopback: false,
    ...given,
    connections: Math.min(given.connections ?? LIMITS.relays, most),
    commands,
    descriptors,
  };
}
