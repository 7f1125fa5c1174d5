/**
 * The header of VirtualBox disk images, version 1.1 (VDIHEADER1PLUS in VirtualBox's VDICore.h, also described in QEMU's block/vdi.c). Everything is
 * little-endian; every number is bounded here.
 */
import { viewOf } from '../bigendian.ts';
import { corruptImage, unsupportedImage } from '../formaterrors.ts';
import { getU64LE } from '../littleendian.ts';
import { say } from '../../util/say.ts';

export const VDI_HEADER_BYTES = 512;
const AT_SIGNATURE = 0x40;
const SIGNATURE = 0xbeda107f;
const VERSION_1_1 = 0x0001_0001;
const TYPE_DYNAMIC = 1;
const TYPE_FIXED = 2;
/** A disk above 1 EiB is no disk. */
const MAX_SIZE = 2 ** 52;
const MAX_BLOCK = 256 << 20;

export interface VdiHeader {
  sizeBytes: number;
  blockBytes: number;
  /** Bytes before each block. */
  extraBytes: number;
  blocks: number;
  mapOffset: number;
  dataOffset: number;
}

export const isVdi = (start: Uint8Array): boolean =>
  start.length >= AT_SIGNATURE + 8 && viewOf(start).getUint32(AT_SIGNATURE, true) === SIGNATURE;

/** Parses the first VDI_HEADER_BYTES. Throws 'corrupt' or 'unsupported'. */
export function parseVdiHeader(start: Uint8Array, path: string): VdiHeader {
  if (start.length < VDI_HEADER_BYTES || !isVdi(start)) throw corruptImage(path, say('damageVdiCut'));
  const view = viewOf(start);
  const u32 = (at: number) => view.getUint32(at, true);
  const version = u32(0x44);
  if (version !== VERSION_1_1) throw unsupportedImage(path, `a VDI image of version ${version >>> 16}.${version & 0xffff}`);
  const type = u32(0x4c);
  const parent = [...start.subarray(0x1a8, 0x1c8)].some((byte) => byte !== 0);
  if ((type !== TYPE_DYNAMIC && type !== TYPE_FIXED) || parent)
    throw unsupportedImage(
      path,
      'a difference to another VDI image',
      'Merge the snapshots in VirtualBox, or clone the disk there, and import the result.',
    );
  const header: VdiHeader = {
    sizeBytes: getU64LE(view, 0x170),
    blockBytes: u32(0x178),
    extraBytes: u32(0x17c),
    blocks: u32(0x180),
    mapOffset: u32(0x154),
    dataOffset: u32(0x158),
  };
  if (u32(0x168) !== 512) throw unsupportedImage(path, `a VDI image with sectors of ${u32(0x168)} bytes`);
  const { blockBytes } = header;
  if (blockBytes < 4096 || blockBytes > MAX_BLOCK || !Number.isInteger(Math.log2(blockBytes)))
    throw corruptImage(path, say('damageBlockSize', { size: blockBytes }));
  if (header.extraBytes % 512 || header.extraBytes > MAX_BLOCK)
    throw corruptImage(path, say('damageExtraBefore', { size: header.extraBytes }));
  if (!header.sizeBytes || header.sizeBytes > MAX_SIZE || header.sizeBytes > header.blocks * blockBytes)
    throw corruptImage(path, say('damageDiskInBlocks', { size: header.sizeBytes, blocks: header.blocks, block: blockBytes }));
  if (header.mapOffset % 512 || header.mapOffset < VDI_HEADER_BYTES)
    throw corruptImage(path, say('damageBlockMap', { offset: header.mapOffset }));
  if (header.dataOffset % 512 || header.dataOffset < VDI_HEADER_BYTES)
    throw corruptImage(path, say('damageDataAt', { offset: header.dataOffset }));
  return header;
}
