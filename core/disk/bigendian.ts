/** 64-bit big-endian fields as JavaScript numbers, which are exact up to 2^53. */
const TWO32 = 0x1_0000_0000;

/** The unsigned 64-bit field at `at`. Values of 2^53 and more come out rounded, and are refused by range checks everywhere. */
export function getU64(view: DataView, at: number): number {
  return view.getUint32(at) * TWO32 + view.getUint32(at + 4);
}

export function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / TWO32));
  view.setUint32(at + 4, (value % TWO32) >>> 0);
}

/** A DataView over exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;
export const roundDown = (value: number, unit: number): number => Math.floor(value / unit) * unit;
