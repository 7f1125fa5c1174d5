/** Finding zeros in the bytes of a disk. */

/** Runs of zeros shorter than this are not worth a hole. */
export const ZERO_UNIT = 4096;

/** True when every byte is zero. */
export function isZero(bytes: Uint8Array): boolean {
  const { length } = bytes;
  let at = 0;
  // Most of what is not zero shows at once.
  if (length && (bytes[0] || bytes[length - 1] || bytes[length >> 1])) return false;
  for (; at < length && (bytes.byteOffset + at) % 4; at++) if (bytes[at]) return false;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, Math.floor((length - at) / 4));
  const whole = words.length & ~7;
  for (let i = 0; i < whole; i += 8)
    if (words[i]! | words[i + 1]! | words[i + 2]! | words[i + 3]! | words[i + 4]! | words[i + 5]! | words[i + 6]! | words[i + 7]!)
      return false;
  for (let i = whole; i < words.length; i++) if (words[i]) return false;
  for (at += words.length * 4; at < length; at++) if (bytes[at]) return false;
  return true;
}

/** Runs of `unit`-sized pieces for which `wanted` holds, as [from, to) within `length`. */
export function* runs(length: number, unit: number, wanted: (from: number, to: number) => boolean): Generator<[from: number, to: number]> {
  let start = -1;
  for (let at = 0; at < length; at += unit) {
    const end = Math.min(at + unit, length);
    if (wanted(at, end)) {
      if (start < 0) start = at;
    } else if (start >= 0) {
      yield [start, at];
      start = -1;
    }
  }
  if (start >= 0) yield [start, length];
}

/** Runs of pieces that are not zeros. */
export const dataRuns = (bytes: Uint8Array, unit = ZERO_UNIT): Generator<[from: number, to: number]> =>
  runs(bytes.length, unit, (from, to) => !isZero(bytes.subarray(from, to)));

/** Number of the first byte that differs, -1 when the two are equal. Both have one length. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const { length } = a;
  let at = 0;
  if (a.byteOffset % 4 === 0 && b.byteOffset % 4 === 0) {
    const words = length >> 2;
    const left = new Int32Array(a.buffer, a.byteOffset, words);
    const right = new Int32Array(b.buffer, b.byteOffset, words);
    let i = 0;
    while (i < words && left[i] === right[i]) i++;
    at = i * 4;
  }
  while (at < length && a[at] === b[at]) at++;
  return at < length ? at : -1;
}
