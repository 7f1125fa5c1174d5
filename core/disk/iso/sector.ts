import type { RandomAccessFile } from '../../backend/file.ts';

/** Bytes of a sector of an optical disc. */
export const ISO_SECTOR = 2048;

export const u16 = (bytes: Uint8Array, at: number): number => bytes[at]! | (bytes[at + 1]! << 8);
export const u32 = (bytes: Uint8Array, at: number): number => (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;

const controls = /\p{Cc}+/gu;
/** One printable line: files say what they like. */
export const oneLine = (text: string): string => text.replace(controls, ' ').trim();

/** ISO 8859-1, which every byte is a character of. */
export function latin1(bytes: Uint8Array, from = 0, to = bytes.length): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}

/** Text up to the first zero, as one printable line. */
export const printable = (bytes: Uint8Array): string => oneLine(latin1(bytes).split('\0')[0]!);

/** Big-endian UCS-2, as Joliet and UDF have it. */
export const ucs2 = (bytes: Uint8Array): string => new TextDecoder('utf-16be').decode(bytes.subarray(0, bytes.length & ~1));

/** `length` bytes at `offset`; fewer at the end of the file. */
export async function readBytes(file: RandomAccessFile, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.max(0, length));
  return bytes.subarray(0, bytes.length ? await file.read(offset, bytes) : 0);
}
