import type { BlockBackend } from '../../backend/block.ts';
import type { RandomAccessFile } from '../../backend/file.ts';
import type { Extent } from '../extent.ts';
import { corruptImage } from '../formaterrors.ts';
import { PagedTable } from '../pagedtable.ts';
import { ReadOnlyDisk } from '../readonlydisk.ts';
import {
  DYNAMIC_HEADER_BYTES,
  FOOTER_BYTES,
  isSoundFooter,
  parseDynamicHeader,
  parseFooter,
  utf16,
  type VhdDynamicHeader,
  type VhdFooter,
} from './header.ts';
import { say } from '../../util/say.ts';

const NONE = 0xffff_ffff;
const SECTOR = 512;
/** Blocks that one extent has at most: nothing waits for a longer walk. */
const MOST_BLOCKS = 4096;
const MAX_LOCATOR = 4096;

/** What the image says of the one below it. */
export interface VhdParent {
  /** Paths as they are in the image, Windows ones as a rule; the best first. */
  names: string[];
  uuid: string;
}

export interface VhdParts {
  footer: VhdFooter;
  dynamic: VhdDynamicHeader | undefined;
  parent: VhdParent | undefined;
}

/** Reads footer and header, and what lies below. Rejects with 'corrupt' or 'unsupported'. */
export async function readVhd(file: RandomAccessFile): Promise<VhdParts> {
  const size = await file.size();
  const bytes = new Uint8Array(FOOTER_BYTES);
  // The last sector has it; the first one of dynamic images a copy. Of a fixed image the guest owns the first sector.
  await file.read(Math.max(0, size - FOOTER_BYTES), bytes);
  if (!isSoundFooter(bytes)) await file.read(0, bytes);
  const footer = parseFooter(bytes, file.path);
  if (footer.type === 'fixed') {
    if (footer.sizeBytes > size) throw corruptImage(file.path, say('damageFileAndDisk', { file: size, size: footer.sizeBytes }));
    return { footer, dynamic: undefined, parent: undefined };
  }
  const header = new Uint8Array(DYNAMIC_HEADER_BYTES);
  if (footer.headerOffset + header.length > size) throw corruptImage(file.path, say('damageVhdHeaderCut'));
  await file.read(footer.headerOffset, header);
  const dynamic = parseDynamicHeader(header, footer, file.path);
  if (dynamic.tableOffset + Math.ceil(footer.sizeBytes / dynamic.blockBytes) * 4 > size)
    throw corruptImage(file.path, say('damageBlockTableCut'));
  if (footer.type === 'dynamic') return { footer, dynamic, parent: undefined };
  return { footer, dynamic, parent: { names: await parentNames(file, dynamic), uuid: dynamic.parentUuid } };
}

async function parentNames(file: RandomAccessFile, dynamic: VhdDynamicHeader): Promise<string[]> {
  const names: string[] = [];
  // Relative Windows path, absolute one, the name in the header.
  for (const code of ['W2ru', 'W2ku'])
    for (const locator of dynamic.locators) {
      if (locator.code !== code || !locator.length || locator.length > MAX_LOCATOR) continue;
      const bytes = new Uint8Array(locator.length);
      const got = await file.read(locator.offset, bytes);
      names.push(utf16(bytes.subarray(0, got), true));
    }
  if (dynamic.parentName) names.push(dynamic.parentName);
  return names.filter((name) => name !== '');
}

/** A VHD image: fixed, dynamic or differencing. */
export class VhdImage extends ReadOnlyDisk {
  private readonly dynamic: VhdDynamicHeader | undefined;
  private readonly table: PagedTable;
  /** Bytes of sector bitmap before the data of each block. */
  private readonly bitmapBytes: number;
  private readonly differencing: boolean;
  private bitmap: { block: number; bytes: Uint8Array } | undefined;

  /** `parent` is what `parts.parent` names, opened. */
  constructor(file: RandomAccessFile, parts: VhdParts, parent?: BlockBackend) {
    super(file, parts.footer.sizeBytes, parent);
    this.dynamic = parts.dynamic;
    this.differencing = parts.footer.type === 'differencing';
    this.table = new PagedTable(file, parts.dynamic?.tableOffset ?? 0);
    this.bitmapBytes = Math.ceil((parts.dynamic?.blockBytes ?? 0) / SECTOR / 8 / SECTOR) * SECTOR;
  }

  protected async locate(offset: number, length: number): Promise<Extent> {
    if (!this.dynamic) return { offset, length, kind: 'data', host: offset };
    const { blockBytes } = this.dynamic;
    const first = await this.blockAt(offset);
    const inBlock = Math.min(length, blockBytes - (offset % blockBytes));
    if (first !== undefined && this.differencing) return this.bySectors(offset, inBlock, first);
    let taken = inBlock;
    for (let i = 0; taken < length && i < MOST_BLOCKS; i++) {
      const next = await this.blockAt(offset + taken);
      if (first === undefined ? next !== undefined : next !== first + taken) break;
      taken += blockBytes;
    }
    const result = { offset, length: Math.min(taken, length) };
    if (first === undefined) return { ...result, kind: this.differencing ? 'backing' : 'zero' };
    return { ...result, kind: 'data', host: first };
  }

  /** In a differencing image the bitmap before a block tells which of its sectors are there. */
  private async bySectors(offset: number, length: number, host: number): Promise<Extent> {
    const { blockBytes } = this.dynamic!;
    const block = Math.floor(offset / blockBytes);
    if (this.bitmap?.block !== block) {
      const bytes = new Uint8Array(this.bitmapBytes);
      await this.file.read(host - (offset % blockBytes) - this.bitmapBytes, bytes);
      this.bitmap = { block, bytes };
    }
    const { bytes } = this.bitmap;
    const here = (at: number) => {
      const sector = Math.floor((at % blockBytes) / SECTOR);
      return (bytes[sector >> 3]! & (0x80 >> (sector & 7))) !== 0;
    };
    const there = here(offset);
    let taken = SECTOR - (offset % SECTOR);
    while (taken < length && here(offset + taken) === there) taken += SECTOR;
    const result = { offset, length: Math.min(taken, length) };
    return there ? { ...result, kind: 'data', host } : { ...result, kind: 'backing' };
  }

  /** Where the byte lies in the file; undefined: not in this image. */
  private async blockAt(offset: number): Promise<number | undefined> {
    const { blockBytes } = this.dynamic!;
    const block = Math.floor(offset / blockBytes);
    const loaded = this.table.page(block * 4);
    const view = loaded instanceof DataView ? loaded : await loaded;
    const entry = view.getUint32(this.table.within(block * 4));
    if (entry === NONE) return undefined;
    if (entry === 0) throw corruptImage(this.info.label, say('damageBlockAtStart', { block }));
    return entry * SECTOR + this.bitmapBytes + (offset % blockBytes);
  }
}
