/** What a qcow2 image reads and writes besides its tables: the file with the clusters, the cipher, the image below. */
import type { BlockBackend } from '../../backend/block.ts';
import type { RandomAccessFile } from '../../backend/file.ts';
import type { SectorCipher } from '../cipher.ts';
import type { Codec } from '../codec.ts';

const SECTOR = 512;

export class Layers {
  readonly data: RandomAccessFile;
  readonly backing: BlockBackend | undefined;
  readonly codec: Codec;
  private readonly cipher: SectorCipher | undefined;
  /** The number of a sector is its place on the disk (AES), rather than in the file (LUKS). */
  private readonly guestNumbers: boolean;

  constructor(parts: {
    data: RandomAccessFile;
    backing: BlockBackend | undefined;
    codec: Codec;
    cipher: SectorCipher | undefined;
    guestNumbers?: boolean;
  }) {
    this.data = parts.data;
    this.backing = parts.backing;
    this.codec = parts.codec;
    this.cipher = parts.cipher;
    this.guestNumbers = parts.guestNumbers ?? false;
  }

  /** Reads decrypted bytes at `host` of the data file, which are those at `guest` of the disk; what the file does not have is zeros. */
  async readData(host: number, target: Uint8Array, guest: number): Promise<void> {
    if (!this.cipher) {
      const got = await this.data.read(host, target);
      if (got < target.length) target.fill(0, got);
      return;
    }
    const from = Math.floor(host / SECTOR) * SECTOR;
    const to = Math.ceil((host + target.length) / SECTOR) * SECTOR;
    const bytes = new Uint8Array(to - from);
    const got = await this.data.read(from, bytes);
    // A sector that was never written has no key stream to take off.
    const whole = Math.ceil(got / SECTOR) * SECTOR;
    const first = this.guestNumbers ? Math.floor(guest / SECTOR) : from / SECTOR;
    this.cipher.decrypt(first, bytes.subarray(0, whole));
    target.set(bytes.subarray(host - from, host - from + target.length));
  }

  /** Encrypts if need be and writes. Whole sectors when encrypted. */
  async writeData(host: number, source: Uint8Array): Promise<void> {
    if (!this.cipher) return this.data.write(host, source);
    const bytes = source.slice();
    this.cipher.encrypt(host / SECTOR, bytes);
    return this.data.write(host, bytes);
  }

  get deriveKey(): SectorCipher['deriveKey'] {
    return this.cipher?.deriveKey;
  }

  get encrypted(): boolean {
    return this.cipher !== undefined;
  }

  /** Fills `target` from the image below. */
  async readBacking(offset: number, target: Uint8Array): Promise<void> {
    const size = this.backing?.info.sizeBytes ?? 0;
    const there = Math.max(0, Math.min(target.length, size - offset));
    if (there) await this.backing!.read(offset, target.subarray(0, there));
    target.fill(0, there);
  }

  /** True when the range is zeros as far as the image below is concerned. */
  backingIsZero(offset: number): boolean {
    return offset >= (this.backing?.info.sizeBytes ?? 0);
  }
}
