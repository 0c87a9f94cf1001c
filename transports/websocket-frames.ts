/** The format of WebSocket frames (RFC 6455 §5), without extensions. Pure; websocket-frame-reader.ts takes them out of a socket's bytes. */
import { isUtf8 } from 'node:buffer';

export const OPCODE = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const;

/** Bits of the first two bytes of a header. */
export const FIN = 0x80;
export const RESERVED = 0x70;
export const MASKED = 0x80;

/** Bytes of a header at most, and of a control frame's payload. */
export const MOST_HEADER = 14;
export const MOST_CONTROL = 125;

/** Codes of a close (RFC 6455 §7.4.1). NO_STATUS and CUT are never sent: they say that no code, or no close, has come. */
export const CLOSE = {
  NORMAL: 1000,
  PROTOCOL_ERROR: 1002,
  NO_STATUS: 1005,
  CUT: 1006,
  NO_UTF8: 1007,
  POLICY: 1008,
  TOO_BIG: 1009,
  INTERNAL_ERROR: 1011,
} as const;

/** What a peer may not send. */
export class WebSocketError extends Error {
  override readonly name = 'WebSocketError';
  /** With which it is closed. */
  readonly code: number;

  constructor(message: string, code: number = CLOSE.PROTOCOL_ERROR) {
    super(`the peer breaks the WebSocket protocol: ${message}`);
    this.code = code;
  }
}

/** Bytes of the whole header, as its second byte tells. */
export function headerLength(second: number): number {
  const size = second & ~MASKED;
  return 2 + (size < 126 ? 0 : size === 126 ? 2 : 8) + (second & MASKED ? 4 : 0);
}

/** Bytes of the payload. Beyond 2^53 they are not exact, and far too many. @throws WebSocketError for a length in more bytes than it takes */
export function payloadLength(header: Buffer): number {
  const size = (header[1] as number) & ~MASKED;
  if (size < 126) return size;
  const isShort = size === 126;
  const length = isShort ? header.readUInt16BE(2) : header.readUInt32BE(2) * 2 ** 32 + header.readUInt32BE(6);
  if (length < (isShort ? 126 : 65_536)) throw new WebSocketError('a length in more bytes than it takes');
  return length;
}

/**
 * Writes the header of a message in one frame, or of a control frame; returns the offset after it.
 *
 * @param key of a client's frame, whose payload is masked with it
 */
export function writeHeader(target: Buffer, at: number, opcode: number, length: number, key?: Buffer): number {
  const masked = key === undefined ? 0 : MASKED;
  const size = length < 126 ? length : length < 65_536 ? 126 : 127;
  let end = target.writeUInt8(FIN | opcode, at);
  end = target.writeUInt8(masked | size, end);
  if (size === 126) end = target.writeUInt16BE(length, end);
  if (size === 127) end = target.writeBigUInt64BE(BigInt(length), end);
  return key === undefined ? end : end + key.copy(target, end);
}

/** @param reason is cut at a character, if it is too long */
export function encodeClose(code: number, reason = ''): Buffer {
  if (code === CLOSE.NO_STATUS) return Buffer.alloc(0);
  const bytes = Buffer.alloc(MOST_CONTROL);
  bytes.writeUInt16BE(code);
  return bytes.subarray(0, 2 + bytes.write(reason, 2)); // writes whole characters only
}

const isCloseCode = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && code !== 1004 && code !== CLOSE.NO_STATUS && code !== CLOSE.CUT) ||
  (code >= 3000 && code <= 4999);

/** @throws WebSocketError */
export function parseClose(payload: Buffer): { code: number; reason: string } {
  if (payload.length === 0) return { code: CLOSE.NO_STATUS, reason: '' };
  if (payload.length === 1) throw new WebSocketError('a close code of one byte');
  const code = payload.readUInt16BE();
  if (!isCloseCode(code)) throw new WebSocketError(`the close code ${code}`);
  const reason = payload.subarray(2);
  if (!isUtf8(reason)) throw new WebSocketError('the reason of a close is not UTF-8', CLOSE.NO_UTF8);
  return { code, reason: reason.toString() };
}
