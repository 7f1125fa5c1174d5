/**
 * The Internet checksum, RFC 1071: sums of 16-bit words are the same in either byte order but for the swap of the result, so words are added as they lie in memory of a little-endian view.
 * `at` to `end` of `view`, added to `sum`, the not yet folded sum of what comes before; that has to have an even length, and all together at most 128 KiB.
 */
export function sumWords(view: DataView, at: number, end: number, sum = 0): number {
  let low = sum;
  let high = 0;
  let offset = at;
  for (; offset + 4 <= end; offset += 4) {
    const word = view.getUint32(offset, true);
    low = (low + (word & 0xffff)) | 0;
    high = (high + (word >>> 16)) | 0;
  }
  if (offset + 2 <= end) {
    low = (low + view.getUint16(offset, true)) | 0;
    offset += 2;
  }
  if (offset < end) low = (low + view.getUint8(offset)) | 0;
  return fold(low) + fold(high);
}

/** A sum of words in 16 bits: what is above them is added again. */
export function fold(sum: number): number {
  let folded = sum >>> 0;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

/** What goes into the field, to be written little endian; of a packet that has its checksum in place: 0. */
export const checksumOf = (sum: number): number => ~fold(sum) & 0xffff;

/** Sum of the pseudo header of TCP and UDP, RFC 9293 section 3.1; addresses as numbers, `length` of header and payload. */
export function pseudoHeaderSum(source: number, destination: number, protocol: number, length: number): number {
  const sum = fold((source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + length);
  return ((sum & 0xff) << 8) | (sum >>> 8);
}
