/** Who is at the other end of a UNIX socket, by the kernel's word (SO_PEERCRED), which Node does not pass on: koffi asks for it. */
import type { Socket } from 'node:net';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

type GetSockOpt = (fd: number, level: number, name: number, value: Buffer, length: Uint32Array) => number;

/** @throws Error with the remedy where koffi is not installed */
export async function loadPeerCheck(): Promise<(socket: Socket) => number> {
  const { default: koffi } = await import('koffi').catch((cause: unknown) => {
    throw new Error('abstract: needs koffi to know who connects; run: npm install koffi (beside Sluice)', { cause });
  });
  const libc = koffi.load('libc.so.6');
  const getsockopt = libc.func('int getsockopt(int, int, int, _Out_ void *, _Inout_ uint32_t *)') as GetSockOpt;
  return (socket) => {
    const { _handle: handle } = socket as { _handle?: { fd?: number } | null };
    const credentials = Buffer.alloc(12); // pid, uid, gid
    const failed = getsockopt(handle?.fd ?? -1, SOL_SOCKET, SO_PEERCRED, credentials, Uint32Array.of(12)) !== 0;
    if (failed) throw new Error('abstract: the kernel does not say who is at the other end');
    return credentials.readUInt32LE(4);
  };
}
