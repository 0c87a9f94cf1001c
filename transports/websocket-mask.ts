/**
 * The masks of WebSocket (RFC 6455 §5.3): by `bufferutil`, which is native and optional, or by a loop, at a fifth of the rate
 * and still three times that of a loop over bytes.
 */
import { randomFillSync } from 'node:crypto';
import { createRequire } from 'node:module';

interface Masking {
  mask(source: Buffer, key: Buffer, target: Buffer, at: number, length: number): void;
  unmask(bytes: Buffer, key: Buffer): void;
}

function loadNative(): Masking | undefined {
  try {
    return createRequire(import.meta.filename)('bufferutil') as Masking;
  } catch {
    return undefined;
  }
}

const native = loadNative();
/** Bytes below which a call of native code costs more than the loop. */
const SMALL = 48;

/**
 * The key that changes nothing, for a client's frames below TLS: a mask defends proxies that read along from what a web
 * page could make them take for HTTP (RFC 6455 §10.3), and nobody can read along there. It saves a tenth of the work on
 * both sides. The frame is a masked one all the same, so every server takes it.
 */
export const ZERO_KEY = Buffer.alloc(4);

const isZero = (key: Buffer): boolean => ((key[0] ?? 0) | (key[1] ?? 0) | (key[2] ?? 0) | (key[3] ?? 0)) === 0;

/** Writes `source`, masked, at `at` of `target`. */
export function mask(source: Buffer, key: Buffer, target: Buffer, at: number): void {
  if (isZero(key)) return void source.copy(target, at);
  if (native !== undefined && source.length >= SMALL) return native.mask(source, key, target, at, source.length);
  source.copy(target, at);
  applyByLoop(target.subarray(at, at + source.length), key);
}

/** In place. */
export function unmask(bytes: Buffer, key: Buffer): void {
  if (isZero(key)) return;
  if (native !== undefined && bytes.length >= SMALL) native.unmask(bytes, key);
  else applyByLoop(bytes, key);
}

/** In place, in words where the memory is aligned. Exported for its test: where `bufferutil` is there, only few bytes come here. */
export function applyByLoop(bytes: Buffer, key: Buffer): void {
  if (bytes.length < 8) return applyToBytes(bytes, key, 0, bytes.length);
  const from = -bytes.byteOffset & 3;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + from, (bytes.length - from) >>> 2);
  applyToBytes(bytes, key, 0, from);
  const [word = 0] = new Uint32Array(rotated(key, from).buffer);
  for (let i = 0; i < words.length; i += 1) words[i] = (words[i] as number) ^ word;
  applyToBytes(bytes, key, from + words.byteLength, bytes.length);
}

function applyToBytes(bytes: Buffer, key: Buffer, from: number, to: number): void {
  for (let i = from; i < to; i += 1) bytes[i] = (bytes[i] as number) ^ (key[i & 3] as number);
}

/** The key for what comes after so many bytes, in memory of its own. */
export const rotated = (key: Buffer, count: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: 4 }, (_, i) => key[(i + count) & 3] as number);

/** Random bytes are drawn for many keys at once. */
const drawn = Buffer.alloc(8 * 1024);
let used = drawn.length;

/** A fresh key, which nobody can foresee (RFC 6455 §10.3); to be used at once, as its memory is used again. */
export function drawKey(): Buffer {
  if (used === drawn.length) {
    randomFillSync(drawn);
    used = 0;
  }
  used += 4;
  return drawn.subarray(used - 4, used);
}
