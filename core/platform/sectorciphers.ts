/** AES over 512-byte sectors with node:crypto, in the modes that disk encryption has. */
import { type Cipheriv, createCipheriv, createDecipheriv, createHash, type Decipheriv } from 'node:crypto';
import type { SectorCipher } from '../disk/cipher.ts';

const SECTOR = 512;
const BLOCK = 16;
/** Sectors worked on at once. */
const BATCH = 256;

/**
 * AES-XTS (IEEE 1619), the sector's number as tweak ("plain64"). Built from three ECB streams that stay open: one sector at a time through the library's XTS
 * costs more in calls than in encryption.
 */
export class XtsCipher implements SectorCipher {
  private readonly tweaks: Cipheriv;
  private readonly encryptor: Cipheriv;
  private readonly decryptor: Decipheriv;
  private readonly masks = new Uint32Array((BATCH * SECTOR) / 4);

  /** `key` is both halves: 32 or 64 bytes. */
  constructor(key: Uint8Array) {
    const half = key.length / 2;
    const name = `aes-${half * 8}-ecb`;
    this.encryptor = createCipheriv(name, key.subarray(0, half), null).setAutoPadding(false);
    this.decryptor = createDecipheriv(name, key.subarray(0, half), null).setAutoPadding(false);
    this.tweaks = createCipheriv(name, key.subarray(half), null).setAutoPadding(false);
  }

  encrypt(sector: number, data: Uint8Array): void {
    this.run(sector, data, this.encryptor);
  }

  decrypt(sector: number, data: Uint8Array): void {
    this.run(sector, data, this.decryptor);
  }

  private run(sector: number, data: Uint8Array, engine: Cipheriv | Decipheriv): void {
    for (let at = 0; at < data.length; at += BATCH * SECTOR) {
      const part = data.subarray(at, Math.min(at + BATCH * SECTOR, data.length));
      this.fillMasks(sector + at / SECTOR, part.length / SECTOR);
      this.mask(part);
      part.set(engine.update(part));
      this.mask(part);
    }
  }

  /** The mask of each block: the encrypted sector number, doubled in GF(2^128) from block to block. */
  private fillMasks(sector: number, count: number): void {
    const numbers = Buffer.alloc(count * BLOCK);
    for (let i = 0; i < count; i++) numbers.writeBigUInt64LE(BigInt(sector + i), i * BLOCK);
    const encrypted = this.tweaks.update(numbers);
    const { masks } = this;
    for (let i = 0, at = 0; i < count; i++) {
      let a = encrypted.readUInt32LE(i * BLOCK);
      let b = encrypted.readUInt32LE(i * BLOCK + 4);
      let c = encrypted.readUInt32LE(i * BLOCK + 8);
      let d = encrypted.readUInt32LE(i * BLOCK + 12);
      for (let block = 0; block < SECTOR / BLOCK; block++) {
        masks[at++] = a;
        masks[at++] = b;
        masks[at++] = c;
        masks[at++] = d;
        const carry = d >>> 31;
        d = (d << 1) | (c >>> 31);
        c = (c << 1) | (b >>> 31);
        b = (b << 1) | (a >>> 31);
        a = (a << 1) ^ (carry ? 0x87 : 0);
      }
    }
  }

  private mask(data: Uint8Array): void {
    const { masks } = this;
    if (data.byteOffset % 4 === 0) {
      const words = new Int32Array(data.buffer, data.byteOffset, data.length / 4);
      for (let i = 0; i < words.length; i++) words[i]! ^= masks[i]!;
      return;
    }
    const bytes = new Uint8Array(masks.buffer);
    for (let i = 0; i < data.length; i++) data[i]! ^= bytes[i]!;
  }
}

/** How the initial value of a sector comes from its number. */
export type SectorIv = 'plain' | 'plain64' | 'essiv:sha256';

/** AES-CBC, one chain a sector. */
export class CbcCipher implements SectorCipher {
  private readonly key: Uint8Array;
  private readonly name: string;
  private readonly iv: SectorIv;
  private readonly essiv: Cipheriv | undefined;

  constructor(key: Uint8Array, iv: SectorIv) {
    this.key = key;
    this.name = `aes-${key.length * 8}-cbc`;
    this.iv = iv;
    if (iv === 'essiv:sha256')
      this.essiv = createCipheriv('aes-256-ecb', createHash('sha256').update(key).digest(), null).setAutoPadding(false);
  }

  encrypt(sector: number, data: Uint8Array): void {
    this.run(sector, data, (iv) => createCipheriv(this.name, this.key, iv));
  }

  decrypt(sector: number, data: Uint8Array): void {
    this.run(sector, data, (iv) => createDecipheriv(this.name, this.key, iv));
  }

  private run(sector: number, data: Uint8Array, engine: (iv: Uint8Array) => Cipheriv | Decipheriv): void {
    for (let at = 0; at < data.length; at += SECTOR) {
      const part = data.subarray(at, at + SECTOR);
      part.set(
        engine(this.ivOf(sector + at / SECTOR))
          .setAutoPadding(false)
          .update(part),
      );
    }
  }

  private ivOf(sector: number): Uint8Array {
    const iv = Buffer.alloc(BLOCK);
    if (this.iv === 'plain') iv.writeUInt32LE(sector % 2 ** 32);
    else iv.writeBigUInt64LE(BigInt(sector));
    return this.essiv ? this.essiv.update(iv) : iv;
  }
}
