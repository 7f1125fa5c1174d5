/**
 * The anti-forensic splitter (LUKS specification 1.2.3, section 2.4): a key is spread over many stripes, all of which are needed to have it back, so that wiping
 * any of them destroys it.
 */
import { viewOf } from '../bigendian.ts';

/** A hash function, whole result. */
export type Hash = (bytes: Uint8Array) => Uint8Array;

function diffuse(block: Uint8Array, hash: Hash): void {
  const digestBytes = hash(new Uint8Array(0)).length;
  for (let at = 0, number = 0; at < block.length; at += digestBytes, number++) {
    const part = block.subarray(at, at + digestBytes);
    const input = new Uint8Array(4 + part.length);
    viewOf(input).setUint32(0, number);
    input.set(part, 4);
    part.set(hash(input).subarray(0, part.length));
  }
}

function xor(target: Uint8Array, source: Uint8Array): void {
  for (let i = 0; i < target.length; i++) target[i]! ^= source[i]!;
}

/** The key from its stripes, which lie one behind the other. */
export function mergeStripes(material: Uint8Array, keyBytes: number, stripes: number, hash: Hash): Uint8Array {
  const key = new Uint8Array(keyBytes);
  for (let i = 0; i < stripes; i++) {
    xor(key, material.subarray(i * keyBytes, (i + 1) * keyBytes));
    if (i < stripes - 1) diffuse(key, hash);
  }
  return key;
}

/** Spreads the key; `random` gives the bytes of all stripes but the last. */
export function splitKey(key: Uint8Array, stripes: number, hash: Hash, random: (bytes: number) => Uint8Array): Uint8Array {
  const material = new Uint8Array(key.length * stripes);
  material.set(random(key.length * (stripes - 1)));
  const last = new Uint8Array(key.length);
  for (let i = 0; i < stripes - 1; i++) {
    xor(last, material.subarray(i * key.length, (i + 1) * key.length));
    diffuse(last, hash);
  }
  xor(last, key);
  material.set(last, key.length * (stripes - 1));
  return material;
}
