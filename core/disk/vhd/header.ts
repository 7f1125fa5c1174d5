/**
 * Footer and dynamic header of VHD images (Microsoft, "Virtual Hard Disk Image Format Specification", October 2006). Everything is big-endian; every
 * number is bounded here.
 */
import { getU64, viewOf } from '../bigendian.ts';
import { corruptImage, unsupportedImage } from '../formaterrors.ts';
import { say } from '../../util/say.ts';

export const FOOTER_BYTES = 512;
export const DYNAMIC_HEADER_BYTES = 1024;
const COOKIE = 'conectix';
const DYNAMIC_COOKIE = 'cxsparse';
const TYPE_FIXED = 2;
const TYPE_DYNAMIC = 3;
const TYPE_DIFFERENCING = 4;
const AT_FOOTER_CHECKSUM = 64;
const AT_DYNAMIC_CHECKSUM = 36;
const MAX_SIZE = 2 ** 52;
/** Programs that mean the size of the geometry, not the one in the footer (as QEMU has it). */
const GEOMETRY_CREATORS = ['vpc ', 'vs  ', 'qemu'];
/** The largest geometry: larger disks have their size in the footer. */
const LARGEST_GEOMETRY = 65535 * 16 * 255;

export interface VhdFooter {
  type: 'fixed' | 'dynamic' | 'differencing';
  sizeBytes: number;
  /** Of the dynamic header. */
  headerOffset: number;
  uuid: string;
}

export interface VhdDynamicHeader {
  tableOffset: number;
  blockBytes: number;
  blocks: number;
  parentUuid: string;
  parentName: string;
  locators: { code: string; length: number; offset: number }[];
}

const textAt = (bytes: Uint8Array, at: number, length: number): string => String.fromCharCode(...bytes.subarray(at, at + length));
const hexAt = (bytes: Uint8Array, at: number): string =>
  [...bytes.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** One's complement of the sum of all bytes but the checksum's own. */
function checksum(bytes: Uint8Array, at: number): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) if (i < at || i >= at + 4) sum += bytes[i]!;
  return ~sum >>> 0;
}

export const isVhdFooter = (bytes: Uint8Array): boolean => bytes.length >= FOOTER_BYTES && textAt(bytes, 0, 8) === COOKIE;

/** A footer whose checksum is right: nothing that stands in a raw disk by chance. */
export const isSoundFooter = (bytes: Uint8Array): boolean =>
  isVhdFooter(bytes) && viewOf(bytes).getUint32(AT_FOOTER_CHECKSUM) === checksum(bytes.subarray(0, FOOTER_BYTES), AT_FOOTER_CHECKSUM);

export function parseFooter(bytes: Uint8Array, path: string): VhdFooter {
  if (!isVhdFooter(bytes)) throw corruptImage(path, say('damageNoVhd'));
  if (!isSoundFooter(bytes)) throw corruptImage(path, say('damageVhdSum'));
  const view = viewOf(bytes);
  const type = view.getUint32(60);
  if (type !== TYPE_FIXED && type !== TYPE_DYNAMIC && type !== TYPE_DIFFERENCING)
    throw unsupportedImage(path, `a VHD image of type ${type}`);
  const geometry = view.getUint16(56) * view.getUint8(58) * view.getUint8(59);
  const byGeometry = GEOMETRY_CREATORS.includes(textAt(bytes, 28, 4)) && geometry < LARGEST_GEOMETRY && geometry > 0;
  const sizeBytes = byGeometry ? geometry * 512 : getU64(view, 48);
  if (!sizeBytes || sizeBytes > MAX_SIZE) throw corruptImage(path, say('damageDiskSize', { size: sizeBytes }));
  return {
    type: type === TYPE_FIXED ? 'fixed' : type === TYPE_DYNAMIC ? 'dynamic' : 'differencing',
    sizeBytes,
    headerOffset: getU64(view, 16),
    uuid: hexAt(bytes, 68),
  };
}

export function parseDynamicHeader(bytes: Uint8Array, footer: VhdFooter, path: string): VhdDynamicHeader {
  if (bytes.length < DYNAMIC_HEADER_BYTES || textAt(bytes, 0, 8) !== DYNAMIC_COOKIE) throw corruptImage(path, say('damageNoVhdHeader'));
  const view = viewOf(bytes);
  if (view.getUint32(AT_DYNAMIC_CHECKSUM) !== checksum(bytes, AT_DYNAMIC_CHECKSUM)) throw corruptImage(path, say('damageVhdHeaderSum'));
  const header: VhdDynamicHeader = {
    tableOffset: getU64(view, 16),
    blocks: view.getUint32(28),
    blockBytes: view.getUint32(32),
    parentUuid: hexAt(bytes, 40),
    parentName: utf16(bytes.subarray(64, 576), false),
    locators: [],
  };
  const { blockBytes } = header;
  if (blockBytes < 512 || blockBytes > 256 << 20 || !Number.isInteger(Math.log2(blockBytes)))
    throw corruptImage(path, say('damageBlockSize', { size: blockBytes }));
  if (header.blocks * blockBytes < footer.sizeBytes)
    throw corruptImage(path, say('damageBlocksOfDisk', { blocks: header.blocks, block: blockBytes, size: footer.sizeBytes }));
  if (header.tableOffset > MAX_SIZE || header.tableOffset % 512)
    throw corruptImage(path, say('damageBlockTableAt', { offset: header.tableOffset }));
  for (let at = 576; at < 576 + 8 * 24; at += 24)
    header.locators.push({ code: textAt(bytes, at, 4), length: view.getUint32(at + 8), offset: getU64(view, at + 16) });
  return header;
}

/** UTF-16 text up to the first zero. */
export function utf16(bytes: Uint8Array, littleEndian: boolean): string {
  const text = new TextDecoder(littleEndian ? 'utf-16le' : 'utf-16be').decode(bytes);
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}
