/** Encryption of 512-byte sectors in place; the number of the sector is part of the key stream (LUKS "plain64"). */
export interface SectorCipher {
  /** `data` is whole sectors, the first one of which has number `sector`. */
  encrypt(sector: number, data: Uint8Array): void;
  decrypt(sector: number, data: Uint8Array): void;
}
