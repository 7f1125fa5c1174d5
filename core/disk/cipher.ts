/** Encryption of 512-byte sectors in place; the number of the sector is part of the key stream (LUKS "plain64"). */
export interface SectorCipher {
  /** `data` is whole sectors, the first one of which has number `sector`. */
  encrypt(sector: number, data: Uint8Array): void;
  decrypt(sector: number, data: Uint8Array): void;
  /** A key for `purpose`, 32 bytes, that only who has this cipher's key can have (HKDF); absent where that key is not worth it. */
  deriveKey?(salt: Uint8Array, purpose: string): Uint8Array;
}
