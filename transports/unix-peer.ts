/**
 * Who runs the process at the other end of a UNIX socket (SO_PEERCRED), which Node does not tell. The only import of
 * koffi, an optional dependency: loaded where a rule asks for a user or a group. A peer that is not known is nobody.
 */
import type { Socket } from 'node:net';
import type { Credentials, Proof, UnixPeer } from '../plugins/contract/index.ts';

export type ReadPeer = (socket: Socket) => UnixPeer | undefined;

/** Linux: <asm-generic/socket.h>, and `struct ucred`: pid, uid, gid of 32 bits each. */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const UCRED_BYTES = 12;

let loading: Promise<ReadPeer> | undefined;

async function load(): Promise<ReadPeer> {
  const { default: koffi } = await import('koffi');
  const getsockopt = koffi.load(null).func('int getsockopt(int, int, int, _Out_ void *, _Inout_ uint32_t *)');
  return (socket) => {
    const { _handle: handle } = socket as { _handle?: { fd?: unknown } | null };
    if (typeof handle?.fd !== 'number' || handle.fd < 0) return undefined;
    const found = Buffer.alloc(UCRED_BYTES);
    const length = [UCRED_BYTES];
    if (getsockopt(handle.fd, SOL_SOCKET, SO_PEERCRED, found, length) !== 0 || length[0] !== UCRED_BYTES)
      return undefined;
    const [uid, gid] = [found.readUInt32LE(4), found.readUInt32LE(8)];
    return uid === 2 ** 32 - 1 ? undefined : { uid, gid };
  };
}

/** @throws Error with the remedy */
async function loadReader(): Promise<ReadPeer> {
  if (process.platform !== 'linux') throw new Error('who is at the other end of a UNIX socket is known on Linux only');
  loading ??= load();
  try {
    return await loading;
  } catch (cause) {
    loading = undefined;
    const why = 'the optional dependency "koffi" is missing, by which a UNIX peer is known; install it: npm i koffi';
    throw new Error(why, { cause });
  }
}

const isWanted = (proofs: readonly Proof[]): boolean => proofs.includes('uid') || proofs.includes('gid');

/** What is missing to know the peers of a UNIX source, if any rule asks for them. */
export async function inspectUnixPeers(proofs: readonly Proof[]): Promise<string[]> {
  if (!isWanted(proofs)) return [];
  return loadReader().then(
    () => [],
    (error: Error) => [error.message],
  );
}

export interface UnixPeers {
  /** What is known of an accepted socket's peer, as a field of a connection. */
  credentials(socket: Socket): { readonly credentials?: Credentials };
  /** Loads what is needed by rules that have come. */
  renew(): Promise<() => void>;
}

/** @throws Error if a rule asks for UNIX peers and they cannot be known */
export async function unixPeers(proofs: () => readonly Proof[]): Promise<UnixPeers> {
  const reader = async (): Promise<ReadPeer | undefined> => (isWanted(proofs()) ? loadReader() : undefined);
  let read = await reader();
  return {
    credentials(socket) {
      const unix = read?.(socket);
      return unix === undefined ? {} : { credentials: { unix } };
    },
    async renew() {
      const next = await reader();
      return () => (read = next);
    },
  };
}
