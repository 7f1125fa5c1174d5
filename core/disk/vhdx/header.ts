/**
 * Headers, region table and metadata of VHDX images (Microsoft [MS-VHDX], sections 2.2 and 2.6). Little-endian; every number is bounded here.
 */
import type { RandomAccessFile } from '../../backend/file.ts';
import { viewOf } from '../bigendian.ts';
import { corruptImage, unsupportedImage } from '../formaterrors.ts';
import { getU64LE, guidAt } from '../littleendian.ts';
import { crc32c } from './crc32c.ts';
import { say } from '../../util/say.ts';

const KIB = 1024;
const MIB = 1 << 20;
const HEADER_PLACES = [64 * KIB, 128 * KIB];
const HEADER_BYTES = 4096;
const REGION_PLACES = [192 * KIB, 256 * KIB];
const REGION_BYTES = 64 * KIB;
const MAX_REGIONS = 2047;
const MAX_LOG = 256 * MIB;
const MAX_METADATA = 64 * MIB;
const MAX_SIZE = 64 * 2 ** 40;
const NO_GUID = '00000000-0000-0000-0000-000000000000';
const AT_CRC = 4;

const BAT = '2dc27766-f623-4200-9d64-115e9bfd4a08';
const METADATA = '8b7ca206-4790-4b9a-b8fe-575f050f886e';

const ITEM_FILE_PARAMETERS = 'caa16737-fa36-4d43-b3b6-33f0aa44e76b';
const ITEM_DISK_SIZE = '2fa54224-cd1b-4876-b211-5dbed83bf4b8';
const ITEM_SECTOR_SIZE = '8141bf1d-a96f-4709-ba47-f233a8faab5f';
const ITEM_PARENT = 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c';
const KNOWN_ITEMS = new Set([
  ITEM_FILE_PARAMETERS,
  ITEM_DISK_SIZE,
  ITEM_SECTOR_SIZE,
  ITEM_PARENT,
  'beca12ab-b2e6-4523-93ef-c309e000c746',
  'cda348c7-445d-4471-9cc9-e9885251c556',
]);
const FLAG_HAS_PARENT = 2;
const FLAG_REQUIRED = 4;

export interface VhdxHeader {
  sequence: number;
  dataWriteGuid: string;
  /** Of the log entries that belong to the image; undefined: the log is empty. */
  logGuid: string | undefined;
  logOffset: number;
  logBytes: number;
}

export interface VhdxLayout {
  sizeBytes: number;
  blockBytes: number;
  sectorBytes: number;
  hasParent: boolean;
  tableOffset: number;
  tableBytes: number;
  /** Key and value pairs of the parent locator. */
  parent: Map<string, string>;
}

const text = (bytes: Uint8Array, at: number, length: number): string => String.fromCharCode(...bytes.subarray(at, at + length));

export const isVhdx = (start: Uint8Array): boolean => start.length >= 8 && text(start, 0, 8) === 'vhdxfile';

async function bytesAt(file: RandomAccessFile, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await file.read(offset, bytes);
  return bytes;
}

/** The valid header with the higher sequence number. */
export async function readVhdxHeader(file: RandomAccessFile): Promise<VhdxHeader> {
  let best: VhdxHeader | undefined;
  for (const place of HEADER_PLACES) {
    const bytes = await bytesAt(file, place, HEADER_BYTES);
    const view = viewOf(bytes);
    if (text(bytes, 0, 4) !== 'head' || view.getUint32(AT_CRC, true) !== crc32c(bytes, AT_CRC)) continue;
    const sequence = getU64LE(view, 8);
    if (best && sequence <= best.sequence) continue;
    const version = view.getUint16(66, true);
    if (version !== 1) throw unsupportedImage(file.path, `a VHDX image of version ${version}`);
    const logGuid = guidAt(bytes, 48);
    best = {
      sequence,
      dataWriteGuid: guidAt(bytes, 32),
      logGuid: logGuid === NO_GUID ? undefined : logGuid,
      logBytes: view.getUint32(68, true),
      logOffset: getU64LE(view, 72),
    };
  }
  if (!best) throw corruptImage(file.path, say('damageVhdxHeaders'));
  if (best.logGuid && (best.logOffset < MIB || best.logOffset % MIB || best.logBytes % MIB || !best.logBytes || best.logBytes > MAX_LOG))
    throw corruptImage(file.path, say('damageVhdxLog', { size: best.logBytes, offset: best.logOffset }));
  return best;
}

interface Region {
  offset: number;
  length: number;
}

async function readRegions(file: RandomAccessFile): Promise<Map<string, Region>> {
  for (const place of REGION_PLACES) {
    const bytes = await bytesAt(file, place, REGION_BYTES);
    const view = viewOf(bytes);
    if (text(bytes, 0, 4) !== 'regi' || view.getUint32(AT_CRC, true) !== crc32c(bytes, AT_CRC)) continue;
    const count = view.getUint32(8, true);
    if (count > MAX_REGIONS) continue;
    const regions = new Map<string, Region>();
    for (let at = 16; at < 16 + count * 32; at += 32) {
      const guid = guidAt(bytes, at);
      const region = { offset: getU64LE(view, at + 16), length: view.getUint32(at + 24, true) };
      if (guid !== BAT && guid !== METADATA && view.getUint32(at + 28, true) & 1)
        throw unsupportedImage(file.path, `a VHDX image with an unknown region (${guid})`);
      if (region.offset < MIB || region.offset % MIB || region.offset > Number.MAX_SAFE_INTEGER - 2 ** 33)
        throw corruptImage(file.path, say('damageVhdxRegion', { offset: region.offset }));
      regions.set(guid, region);
    }
    return regions;
  }
  throw corruptImage(file.path, say('damageVhdxRegions'));
}

/** The tables behind the header; `file` is the image with its log applied. */
export async function readVhdxLayout(file: RandomAccessFile): Promise<VhdxLayout> {
  const regions = await readRegions(file);
  const table = regions.get(BAT);
  const metadata = regions.get(METADATA);
  if (!table || !metadata) throw corruptImage(file.path, say('damageVhdxTables'));
  const size = await file.size();
  if (table.offset + table.length > size || metadata.offset + metadata.length > size)
    throw corruptImage(file.path, say('damageCutBeforeTables'));
  const items = await readItems(file, metadata);
  const item = (guid: string, length: number): DataView => {
    const bytes = items.get(guid);
    if (!bytes || bytes.length < length) throw corruptImage(file.path, say('damageVhdxMetadata'));
    return viewOf(bytes);
  };
  const parameters = item(ITEM_FILE_PARAMETERS, 8);
  const layout: VhdxLayout = {
    blockBytes: parameters.getUint32(0, true),
    hasParent: (parameters.getUint32(4, true) & FLAG_HAS_PARENT) !== 0,
    sizeBytes: getU64LE(item(ITEM_DISK_SIZE, 8), 0),
    sectorBytes: item(ITEM_SECTOR_SIZE, 4).getUint32(0, true),
    tableOffset: table.offset,
    tableBytes: table.length,
    parent: new Map(),
  };
  const { blockBytes, sizeBytes, sectorBytes } = layout;
  if (blockBytes < MIB || blockBytes > 256 * MIB || !Number.isInteger(Math.log2(blockBytes)))
    throw corruptImage(file.path, say('damageBlockSize', { size: blockBytes }));
  if (sectorBytes !== 512 && sectorBytes !== 4096) throw corruptImage(file.path, say('damageSectorSize', { size: sectorBytes }));
  if (!sizeBytes || sizeBytes > MAX_SIZE || sizeBytes % sectorBytes)
    throw corruptImage(file.path, say('damageDiskSize', { size: sizeBytes }));
  if (layout.hasParent) {
    const locator = items.get(ITEM_PARENT);
    if (!locator) throw corruptImage(file.path, say('damageNoParent'));
    layout.parent = parseLocator(locator, file.path);
  }
  return layout;
}

async function readItems(file: RandomAccessFile, region: Region): Promise<Map<string, Uint8Array>> {
  const table = await bytesAt(file, region.offset, REGION_BYTES);
  const view = viewOf(table);
  if (text(table, 0, 8) !== 'metadata') throw corruptImage(file.path, say('damageVhdxSignature'));
  const count = view.getUint16(10, true);
  if (count > MAX_REGIONS) throw corruptImage(file.path, say('damageVhdxEntries', { count }));
  const items = new Map<string, Uint8Array>();
  for (let at = 32; at < 32 + count * 32; at += 32) {
    const guid = guidAt(table, at);
    const offset = view.getUint32(at + 16, true);
    const length = view.getUint32(at + 20, true);
    if (!KNOWN_ITEMS.has(guid)) {
      if (view.getUint32(at + 24, true) & FLAG_REQUIRED) throw unsupportedImage(file.path, `a VHDX image with unknown metadata (${guid})`);
      continue;
    }
    if (length > MAX_METADATA || offset + length > region.length)
      throw corruptImage(file.path, say('damageVhdxEntry', { size: length, offset }));
    items.set(guid, await bytesAt(file, region.offset + offset, Math.min(length, MIB)));
  }
  return items;
}

/** MS-VHDX 2.6.2.6: key and value strings in UTF-16. */
function parseLocator(bytes: Uint8Array, path: string): Map<string, string> {
  const view = viewOf(bytes);
  if (bytes.length < 20) throw corruptImage(path, say('damageLocatorCut'));
  const count = view.getUint16(18, true);
  if (20 + count * 12 > bytes.length) throw corruptImage(path, say('damageLocatorCut'));
  const pairs = new Map<string, string>();
  const utf16 = new TextDecoder('utf-16le');
  for (let at = 20; at < 20 + count * 12; at += 12) {
    const string = (offset: number, length: number) => utf16.decode(bytes.subarray(offset, offset + length));
    pairs.set(
      string(view.getUint32(at, true), view.getUint16(at + 8, true)),
      string(view.getUint32(at + 4, true), view.getUint16(at + 10, true)),
    );
  }
  return pairs;
}
