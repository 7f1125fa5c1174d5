/**
 * L2 entries, standard and extended (QEMU's docs/interop/qcow2.txt, "Cluster mapping", "Extended L2 Entries"), read straight from a table's bytes.
 */
import { say, type Saying } from '../../util/say.ts';
import { getU64, setU64 } from '../bigendian.ts';

/** Bit 63: refcount is exactly one, may be written in place. */
const COPIED = 0x8000_0000;
/** Bit 62. */
const COMPRESSED = 0x4000_0000;
/** Bit 0, standard entries of version 3: reads as zeros. */
const ZERO = 1;
/** Bits 9-55 of the offset: upper word's part and lower word's part. */
const OFFSET_HIGH = 0x00ff_ffff;
const OFFSET_LOW = 0xffff_fe00;
const TWO32 = 0x1_0000_0000;

/** 'zero' may have a host cluster all the same (preallocated), then `host` is not 0. */
export type ClusterKind = 'unallocated' | 'zero' | 'data' | 'compressed';

export interface L2Shape {
  clusterBits: number;
  /** Entries of 16 bytes with 32 subclusters each. */
  extended: boolean;
  version: 2 | 3;
  /** The data are in a file of their own: offset 0 is a place like any other there. */
  externalData: boolean;
}

export const entryBytes = (shape: L2Shape): number => (shape.extended ? 16 : 8);

/** Offset of the host cluster, 0 when there is none. Not for compressed clusters. */
export function hostOffset(table: DataView, at: number): number {
  return (table.getUint32(at) & OFFSET_HIGH) * TWO32 + ((table.getUint32(at + 4) & OFFSET_LOW) >>> 0);
}

export const isCopied = (table: DataView, at: number): boolean => (table.getUint32(at) & COPIED) !== 0;
export const isCompressed = (table: DataView, at: number): boolean => (table.getUint32(at) & COMPRESSED) !== 0;

/** Host cluster there at all; an external data file has one at offset 0, and then the bit for "copied" tells. */
export function hasHost(shape: L2Shape, table: DataView, at: number): boolean {
  if (isCompressed(table, at)) return false;
  return hostOffset(table, at) !== 0 || (shape.externalData && isCopied(table, at));
}

/** What a whole cluster of a standard entry, or subcluster `sub` of an extended one, is. */
export function kindAt(shape: L2Shape, table: DataView, at: number, sub: number): ClusterKind {
  if (isCompressed(table, at)) return 'compressed';
  if (shape.extended) {
    const bit = 2 ** sub;
    // Bits 32-63 of the bitmap are "reads as zeros", bits 0-31 "allocated".
    if (Math.floor(table.getUint32(at + 8) / bit) & 1) return 'zero';
    if (Math.floor(table.getUint32(at + 12) / bit) & 1) return 'data';
    return 'unallocated';
  }
  if (shape.version === 3 && table.getUint32(at + 4) & ZERO) return 'zero';
  return hasHost(shape, table, at) ? 'data' : 'unallocated';
}

/** Reserved bits that are set, or an offset that is no cluster: a reason to call the entry corrupt, else undefined. */
export function badEntry(shape: L2Shape, table: DataView, at: number): Saying | undefined {
  if (isCompressed(table, at)) return isCopied(table, at) ? say('entryCompressedCopied') : undefined;
  const host = hostOffset(table, at);
  if (host % 2 ** shape.clusterBits) return say('entryNoCluster', { host });
  if (host > 2 ** 53 - 2 ** 22) return say('entryOutOfRange', { host });
  if (shape.extended) {
    const zero = table.getUint32(at + 8);
    const allocated = table.getUint32(at + 12);
    if (zero & allocated) return say('entryBoth');
    if (allocated && !hasHost(shape, table, at)) return say('entryNoHost');
  }
  return undefined;
}

export interface CompressedPlace {
  host: number;
  /** Bytes up to the end of the last 512-byte sector; the data may end earlier. */
  length: number;
}

/** Where a compressed cluster's data lie: x = 62 - (cluster_bits - 8) bits of offset, then the number of additional sectors. */
export function compressedPlace(shape: L2Shape, table: DataView, at: number): CompressedPlace {
  const offsetBits = 62 - (shape.clusterBits - 8);
  const value = table.getBigUint64(at) & ((1n << 62n) - 1n);
  const host = Number(value & ((1n << BigInt(offsetBits)) - 1n));
  const sectors = Number(value >> BigInt(offsetBits));
  return { host, length: (sectors + 1) * 512 - (host % 512) };
}

export function setCompressed(shape: L2Shape, table: DataView, at: number, place: { host: number; length: number }): void {
  const offsetBits = 62 - (shape.clusterBits - 8);
  const sectors = Math.floor((place.host + place.length - 1) / 512) - Math.floor(place.host / 512);
  table.setBigUint64(at, (1n << 62n) | (BigInt(sectors) << BigInt(offsetBits)) | BigInt(place.host));
  if (shape.extended) setU64(table, at + 8, 0);
}

/** A cluster of data at `host`; of an extended entry all subclusters keep their bits until setSubclusters changes them. */
export function setHost(table: DataView, at: number, host: number, copied: boolean): void {
  setU64(table, at, host);
  if (copied) table.setUint32(at, (table.getUint32(at) | COPIED) >>> 0);
}

/** Standard entry: no data, reads as zeros (with the host cluster kept when `host` is given) or as the backing file. */
export function setEmpty(shape: L2Shape, table: DataView, at: number, zero: boolean): void {
  setU64(table, at, !shape.extended && zero ? ZERO : 0);
  if (!shape.extended) return;
  table.setUint32(at + 8, zero ? 0xffff_ffff : 0);
  table.setUint32(at + 12, 0);
}

/** Keeps the host cluster and makes it read as zeros. */
export function setZeroKeepingHost(shape: L2Shape, table: DataView, at: number): void {
  if (shape.extended) {
    table.setUint32(at + 8, 0xffff_ffff);
    table.setUint32(at + 12, 0);
  } else table.setUint32(at + 4, (table.getUint32(at + 4) | ZERO) >>> 0);
}

const maskOf = (first: number, last: number): number => (2 ** (last + 1) - 2 ** first) >>> 0;

/** Subclusters `first` to `last` become data, or zeros. */
export function setSubclusters(table: DataView, at: number, first: number, last: number, kind: 'data' | 'zero'): void {
  const mask = maskOf(first, last);
  const zero = table.getUint32(at + 8);
  const allocated = table.getUint32(at + 12);
  table.setUint32(at + 8, (kind === 'zero' ? zero | mask : zero & ~mask) >>> 0);
  table.setUint32(at + 12, (kind === 'data' ? allocated | mask : allocated & ~mask) >>> 0);
}

export function setCopied(table: DataView, at: number, copied: boolean): void {
  const high = table.getUint32(at);
  table.setUint32(at, (copied ? high | COPIED : high & ~COPIED) >>> 0);
}

/** True when nothing is said about the cluster. */
export function isVoid(shape: L2Shape, table: DataView, at: number): boolean {
  return getU64(table, at) === 0 && (!shape.extended || getU64(table, at + 8) === 0);
}
