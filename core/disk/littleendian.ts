/** 64-bit little-endian fields as JavaScript numbers; values of 2^53 and more come out rounded and are refused by range checks. */
export function getU64LE(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
}

export function setU64LE(view: DataView, at: number, value: number): void {
  view.setUint32(at, (value % 0x1_0000_0000) >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** A GUID as it is written down, from the 16 bytes of a file (the first three fields little-endian). */
export function guidAt(bytes: Uint8Array, at: number): string {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  const hex = order.map((i) => bytes[at + i]!.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
