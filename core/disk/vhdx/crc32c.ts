/** CRC-32C (Castagnoli), as VHDX uses it (MS-VHDX 2.1). */
const TABLE = new Uint32Array(256);
for (let i = 0; i < 256; i++) {
  let value = i;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  TABLE[i] = value >>> 0;
}

/** The CRC of the bytes, with the four at `skip` taken as zeros: a structure's own checksum. */
export function crc32c(bytes: Uint8Array, skip = -1): number {
  let crc = 0xffff_ffff;
  for (let i = 0; i < bytes.length; i++) {
    const byte = i >= skip && i < skip + 4 && skip >= 0 ? 0 : bytes[i]!;
    crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}
