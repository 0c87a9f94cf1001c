/** Random bytes that the same seed makes again: `SLUICE_SEED=… npm test` repeats what a run has sent. */
import { createCipheriv, createHash, randomBytes } from 'node:crypto';

export const MIB = 1024 * 1024;

/** Bytes each way of the large exchange. */
export const SIZE = 64 * MIB;

export const seed = process.env['SLUICE_SEED'] ?? randomBytes(8).toString('hex');

/** What one side sends. Every part of it is a prefix, so that a cut connection can be checked too. */
export class Payload {
  readonly bytes: Buffer;
  readonly #digests = new Map<number, string>();

  constructor(name: string) {
    const key = createHash('sha256').update(`${seed} ${name}`).digest();
    this.bytes = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(SIZE));
  }

  /** SHA-256 of the first `length` bytes. */
  digest(length: number): string {
    const known = this.#digests.get(length);
    if (known !== undefined) return known;
    const digest = createHash('sha256').update(this.bytes.subarray(0, length)).digest('hex');
    this.#digests.set(length, digest);
    return digest;
  }
}

export const request = new Payload('request');
export const reply = new Payload('reply');
