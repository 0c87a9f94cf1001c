/** Who may use whose memory again: the promises of the contract's streams, as the relay and the session ask for them. */
import { Socket } from 'node:net';
import type { Duplex, Writable } from 'node:stream';
import type { LendingStream } from '../plugins/contract/index.ts';

/** Tells a stream that nobody reads these bytes of it any more. */
export type GiveBack = (bytes: Buffer) => void;

/** Whether a chunk written to it is free when the write calls back. Of other streams nobody can tell: a pass-through keeps it. */
export const letsGo = (to: Writable): boolean => to instanceof Socket || 'releasesChunks' in to;

/** The stream, if it takes back the memory of what it has handed on. */
export const lenderOf = (from: Duplex): LendingStream | undefined =>
  'lend' in from && 'giveBack' in from ? (from as Duplex & LendingStream) : undefined;
