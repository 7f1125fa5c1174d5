/**
 * The header of LUKS version 1 (Clemens Fruhwirth, "LUKS On-Disk Format Specification Version 1.2.3", section 2). Big-endian; places are in sectors of
 * 512 bytes from the start of the header. Every number is bounded here.
 */
import { viewOf } from '../bigendian.ts';
import { corruptImage, unsupportedImage } from '../formaterrors.ts';
import { say } from '../../util/say.ts';

export const LUKS_HEADER_BYTES = 592;
export const DIGEST_BYTES = 20;
export const SALT_BYTES = 32;
export const SLOTS = 8;
const MAGIC = [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe];
const SLOT_AT = 208;
const SLOT_BYTES = 48;
const SLOT_ACTIVE = 0x00ac71f3;
const SLOT_FREE = 0x0000dead;
const MAX_STRIPES = 1 << 16;
/** More take minutes a try; no program asks for as many. */
const MAX_ITERATIONS = 1 << 27;
/** Key slots lie within the first 64 MiB. */
const MAX_SECTOR = 1 << 17;

export interface LuksSlot {
  active: boolean;
  iterations: number;
  salt: Uint8Array;
  /** Sector where the key material begins. */
  sector: number;
  stripes: number;
}

export interface LuksHeader {
  cipher: string;
  mode: string;
  hash: string;
  payloadSector: number;
  keyBytes: number;
  digest: Uint8Array;
  digestSalt: Uint8Array;
  digestIterations: number;
  uuid: string;
  slots: LuksSlot[];
}

function textAt(bytes: Uint8Array, at: number, length: number): string {
  const end = bytes.indexOf(0, at);
  return String.fromCharCode(...bytes.subarray(at, Math.min(end < 0 ? at + length : end, at + length)));
}

/** Parses the first LUKS_HEADER_BYTES. Throws 'corrupt' or 'unsupported'. */
export function parseLuksHeader(bytes: Uint8Array, path: string): LuksHeader {
  if (bytes.length < LUKS_HEADER_BYTES || MAGIC.some((byte, i) => bytes[i] !== byte)) throw corruptImage(path, say('damageNoLuks'));
  const view = viewOf(bytes);
  const version = view.getUint16(6);
  if (version !== 1) throw unsupportedImage(path, `encrypted with LUKS version ${version}`, 'Convert it to LUKS version 1.');
  const header: LuksHeader = {
    cipher: textAt(bytes, 8, 32),
    mode: textAt(bytes, 40, 32),
    hash: textAt(bytes, 72, 32),
    payloadSector: view.getUint32(104),
    keyBytes: view.getUint32(108),
    digest: bytes.slice(112, 112 + DIGEST_BYTES),
    digestSalt: bytes.slice(132, 132 + SALT_BYTES),
    digestIterations: view.getUint32(164),
    uuid: textAt(bytes, 168, 40),
    slots: [],
  };
  if (header.keyBytes < 16 || header.keyBytes > 64 || header.keyBytes % 8)
    throw corruptImage(path, say('damageKeySize', { size: header.keyBytes }));
  if (!header.digestIterations || header.digestIterations > MAX_ITERATIONS)
    throw corruptImage(path, say('damageIterations', { count: header.digestIterations }));
  for (let at = SLOT_AT; at < SLOT_AT + SLOTS * SLOT_BYTES; at += SLOT_BYTES) {
    const slot: LuksSlot = {
      active: view.getUint32(at) === SLOT_ACTIVE,
      iterations: view.getUint32(at + 4),
      salt: bytes.slice(at + 8, at + 8 + SALT_BYTES),
      sector: view.getUint32(at + 40),
      stripes: view.getUint32(at + 44),
    };
    if (
      slot.active &&
      (!slot.iterations || slot.iterations > MAX_ITERATIONS || !slot.stripes || slot.stripes > MAX_STRIPES || slot.sector > MAX_SECTOR)
    )
      throw corruptImage(path, say('damageKeySlot', { iterations: slot.iterations, stripes: slot.stripes, sector: slot.sector }));
    header.slots.push(slot);
  }
  return header;
}

export function encodeLuksHeader(header: LuksHeader): Uint8Array {
  const bytes = new Uint8Array(LUKS_HEADER_BYTES);
  const view = viewOf(bytes);
  const put = (at: number, text: string) => bytes.set(new TextEncoder().encode(text), at);
  bytes.set(MAGIC);
  view.setUint16(6, 1);
  put(8, header.cipher);
  put(40, header.mode);
  put(72, header.hash);
  view.setUint32(104, header.payloadSector);
  view.setUint32(108, header.keyBytes);
  bytes.set(header.digest, 112);
  bytes.set(header.digestSalt, 132);
  view.setUint32(164, header.digestIterations);
  put(168, header.uuid);
  header.slots.forEach((slot, i) => {
    const at = SLOT_AT + i * SLOT_BYTES;
    view.setUint32(at, slot.active ? SLOT_ACTIVE : SLOT_FREE);
    view.setUint32(at + 4, slot.iterations);
    bytes.set(slot.salt, at + 8);
    view.setUint32(at + 40, slot.sector);
    view.setUint32(at + 44, slot.stripes);
  });
  return bytes;
}
