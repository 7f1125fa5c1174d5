/**
 * The header of hosted sparse extents (VMware, "Virtual Disk Format 5.0", "Hosted Sparse Extents" and "Stream-Optimized Compressed Sparse Extents").
 * Little-endian; offsets and sizes in the file are in sectors of 512 bytes. Every number is bounded here.
 */
import { viewOf } from '../bigendian.ts';
import { corruptImage, unsupportedImage } from '../formaterrors.ts';
import { getU64LE, setU64LE } from '../littleendian.ts';
import { say } from '../../util/say.ts';

export const SECTOR = 512;
export const MAGIC = 0x564d_444b;
const MAGIC_ESX = 0x434f_5744;
/** Flags: the newline test is valid, zeroed grains have entry 1, grains are compressed, and markers stand before what is in the file. */
export const FLAG_NEWLINES = 1;
export const FLAG_REDUNDANT = 2;
export const FLAG_ZEROED_GRAINS = 4;
export const FLAG_COMPRESSED = 0x1_0000;
export const FLAG_MARKERS = 0x2_0000;
/** All bits set (which a number rounds up): the grain directory lies at the end; the footer has its place. */
export const AT_END = 2 ** 64;
const MAX_SECTORS = 2 ** 44;
/** Where fields that cross ASCII transfers show damage: newline, space, return, newline. */
const NEWLINES = [0x0a, 0x20, 0x0d, 0x0a];

export interface SparseHeader {
  version: number;
  flags: number;
  capacity: number;
  grainSectors: number;
  descriptorOffset: number;
  descriptorSectors: number;
  entriesPerTable: number;
  redundantDirectory: number;
  directory: number;
  overhead: number;
  compressed: boolean;
}

const magicOf = (bytes: Uint8Array): number => (bytes.length >= 4 ? viewOf(bytes).getUint32(0, true) : 0);

export const isSparseExtent = (start: Uint8Array): boolean => magicOf(start) === MAGIC;
/** VMFS sparse extents of ESX. */
export const isEsxExtent = (start: Uint8Array): boolean => magicOf(start) === MAGIC_ESX;
/** A text that describes a disk in other files; comments and empty lines may come first. */
export function isDescriptor(start: Uint8Array): boolean {
  if (start[0] !== 0x23 && start[0] !== 0x0a && start[0] !== 0x0d && start[0] !== 0x20) return false;
  for (const line of String.fromCharCode(...start.subarray(0, 512)).split('\n')) {
    const text = line.trim();
    if (/^#\s*Disk DescriptorFile$/i.test(text)) return true;
    if (text && !text.startsWith('#')) return false;
  }
  return false;
}

/** Parses a header or footer of 512 bytes. `directory` may be AT_END. */
export function parseSparseHeader(bytes: Uint8Array, path: string): SparseHeader {
  if (bytes.length < SECTOR || !isSparseExtent(bytes)) throw corruptImage(path, say('damageVmdkCut'));
  const view = viewOf(bytes);
  const header: SparseHeader = {
    version: view.getUint32(4, true),
    flags: view.getUint32(8, true),
    capacity: getU64LE(view, 12),
    grainSectors: getU64LE(view, 20),
    descriptorOffset: getU64LE(view, 28),
    descriptorSectors: getU64LE(view, 36),
    entriesPerTable: view.getUint32(44, true),
    redundantDirectory: getU64LE(view, 48),
    directory: getU64LE(view, 56),
    overhead: getU64LE(view, 64),
    compressed: (view.getUint32(8, true) & FLAG_COMPRESSED) !== 0,
  };
  if (header.version < 1 || header.version > 3) throw unsupportedImage(path, `a VMDK image of version ${header.version}`);
  if (header.flags & FLAG_NEWLINES && NEWLINES.some((byte, i) => bytes[73 + i] !== byte)) throw corruptImage(path, say('damageAsText'));
  const algorithm = view.getUint16(77, true);
  if (algorithm > 1) throw unsupportedImage(path, `compressed in way ${algorithm}`);
  if (!header.capacity || header.capacity > MAX_SECTORS) throw corruptImage(path, say('damageDiskSectors', { count: header.capacity }));
  const { grainSectors } = header;
  if (grainSectors < 8 || grainSectors > 32768 || !Number.isInteger(Math.log2(grainSectors)))
    throw corruptImage(path, say('damageGrains', { count: grainSectors }));
  if (!header.entriesPerTable || header.entriesPerTable > 512)
    throw corruptImage(path, say('damageGrainTables', { count: header.entriesPerTable }));
  if (header.descriptorSectors > 2048) throw corruptImage(path, say('damageDescriptorSectors', { count: header.descriptorSectors }));
  for (const place of [header.descriptorOffset, header.directory === AT_END ? 0 : header.directory])
    if (place > MAX_SECTORS) throw corruptImage(path, say('damageTableAt', { sector: place }));
  return header;
}

export function encodeSparseHeader(header: SparseHeader): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  const view = viewOf(bytes);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, header.version, true);
  view.setUint32(8, header.flags, true);
  setU64LE(view, 12, header.capacity);
  setU64LE(view, 20, header.grainSectors);
  setU64LE(view, 28, header.descriptorOffset);
  setU64LE(view, 36, header.descriptorSectors);
  view.setUint32(44, header.entriesPerTable, true);
  setU64LE(view, 48, header.redundantDirectory);
  if (header.directory === AT_END) bytes.fill(0xff, 56, 64);
  else setU64LE(view, 56, header.directory);
  setU64LE(view, 64, header.overhead);
  bytes.set(NEWLINES, 73);
  view.setUint16(77, header.compressed ? 1 : 0, true);
  return bytes;
}
