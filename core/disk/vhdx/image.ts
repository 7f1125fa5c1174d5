import type { BlockBackend } from '../../backend/block.ts';
import type { RandomAccessFile } from '../../backend/file.ts';
import type { Extent } from '../extent.ts';
import { corruptImage } from '../formaterrors.ts';
import { PagedTable } from '../pagedtable.ts';
import { ReadOnlyDisk } from '../readonlydisk.ts';
import { readVhdxHeader, readVhdxLayout, type VhdxHeader, type VhdxLayout } from './header.ts';
import { applyLog } from './log.ts';
import { say } from '../../util/say.ts';

/** States of a block (MS-VHDX 2.5.1.1). */
const FULLY_PRESENT = 6;
const PARTIALLY_PRESENT = 7;
const NOT_PRESENT = 0;
/** Entries of sector bitmap blocks are one of these. */
const BITMAP_PRESENT = 6;
const MIB = 1 << 20;
/** Sectors that one bitmap block covers. */
const PER_BITMAP = 2 ** 23;
const BITMAP_PAGE = 4096;
/** Blocks that one extent has at most: nothing waits for a longer walk. */
const MOST_BLOCKS = 4096;

export interface VhdxParts {
  /** The image with its log applied. */
  file: RandomAccessFile;
  header: VhdxHeader;
  layout: VhdxLayout;
}

/** Reads the tables of the image. Rejects with 'corrupt' or 'unsupported'. */
export async function readVhdx(file: RandomAccessFile): Promise<VhdxParts> {
  const header = await readVhdxHeader(file);
  const patched = await applyLog(file, header);
  const layout = await readVhdxLayout(patched);
  const blocks = Math.ceil(layout.sizeBytes / layout.blockBytes);
  const ratio = chunkRatio(layout);
  const entries = layout.hasParent ? Math.ceil(blocks / ratio) * (ratio + 1) : blocks + Math.floor((blocks - 1) / ratio);
  if (entries * 8 > layout.tableBytes) throw corruptImage(file.path, say('damageBlockTable', { size: layout.tableBytes, blocks }));
  return { file: patched, header, layout };
}

/** Payload blocks between two bitmap blocks in the table. */
const chunkRatio = (layout: VhdxLayout): number => (PER_BITMAP * layout.sectorBytes) / layout.blockBytes;

interface Place {
  state: number;
  /** Byte of the file where the block begins. */
  host: number;
}

/** A VHDX image: fixed, dynamic or differencing. */
export class VhdxImage extends ReadOnlyDisk {
  private readonly layout: VhdxLayout;
  private readonly table: PagedTable;
  private readonly ratio: number;
  private bitmap: { at: number; bytes: Uint8Array } | undefined;

  /** `parent` is what the layout's locator names, opened. */
  constructor(parts: VhdxParts, parent?: BlockBackend) {
    super(parts.file, parts.layout.sizeBytes, parent);
    this.layout = parts.layout;
    this.ratio = chunkRatio(parts.layout);
    this.table = new PagedTable(parts.file, parts.layout.tableOffset);
  }

  protected async locate(offset: number, length: number): Promise<Extent> {
    const { blockBytes } = this.layout;
    const first = await this.blockAt(offset);
    const inBlock = Math.min(length, blockBytes - (offset % blockBytes));
    if (first.state === PARTIALLY_PRESENT) return this.bySectors(offset, inBlock, first.host);
    const kind = this.kindOf(first.state);
    let taken = inBlock;
    for (let i = 0; taken < length && i < MOST_BLOCKS; i++) {
      const next = await this.blockAt(offset + taken);
      if (next.state === PARTIALLY_PRESENT || this.kindOf(next.state) !== kind || (kind === 'data' && next.host !== first.host + taken))
        break;
      taken += blockBytes;
    }
    const result = { offset, length: Math.min(taken, length) };
    return kind === 'data' ? { ...result, kind, host: first.host } : { ...result, kind };
  }

  private kindOf(state: number): 'data' | 'zero' | 'backing' {
    if (state === FULLY_PRESENT) return 'data';
    return state === NOT_PRESENT && this.layout.hasParent ? 'backing' : 'zero';
  }

  /** Where the byte lies. */
  private async blockAt(offset: number): Promise<Place> {
    const { blockBytes } = this.layout;
    const block = Math.floor(offset / blockBytes);
    const { state, host } = await this.entry(block + Math.floor(block / this.ratio));
    if (state > 7 || state === 4 || state === 5) throw corruptImage(this.info.label, say('damageBlockState', { block, state }));
    const present = state === FULLY_PRESENT || state === PARTIALLY_PRESENT;
    if (present && host < MIB) throw corruptImage(this.info.label, say('damageBlockPlace', { block, offset: host }));
    if (state === PARTIALLY_PRESENT && !this.layout.hasParent) throw corruptImage(this.info.label, say('damageBlockPart', { block }));
    return { state, host: host + (offset % blockBytes) };
  }

  private async entry(index: number): Promise<Place> {
    const loaded = this.table.page(index * 8);
    const view = loaded instanceof DataView ? loaded : await loaded;
    const at = this.table.within(index * 8);
    // State in bits 0-2, offset in MiB in bits 20-63.
    const low = view.getUint32(at, true);
    return { state: low & 7, host: (view.getUint32(at + 4, true) * 4096 + (low >>> 20)) * MIB };
  }

  /** The bitmap block of the chunk tells which sectors of the block are there (2.5.1.2). */
  private async bySectors(offset: number, length: number, host: number): Promise<Extent> {
    const { blockBytes, sectorBytes } = this.layout;
    const chunk = Math.floor(offset / blockBytes / this.ratio);
    const place = await this.entry(chunk * (this.ratio + 1) + this.ratio);
    if (place.state !== BITMAP_PRESENT || place.host < MIB) throw corruptImage(this.info.label, say('damageChunkBitmap', { chunk }));
    const first = Math.floor(offset / sectorBytes);
    const there = await this.sectorIsHere(place.host, first);
    let sector = first + 1;
    const last = Math.floor((offset + length - 1) / sectorBytes);
    while (sector <= last && (await this.sectorIsHere(place.host, sector)) === there) sector++;
    const result = { offset, length: Math.min(length, sector * sectorBytes - offset) };
    return there ? { ...result, kind: 'data', host } : { ...result, kind: 'backing' };
  }

  private async sectorIsHere(bitmapAt: number, sector: number): Promise<boolean> {
    const bit = sector % PER_BITMAP;
    const at = bitmapAt + Math.floor(bit / 8 / BITMAP_PAGE) * BITMAP_PAGE;
    if (this.bitmap?.at !== at) {
      const bytes = new Uint8Array(BITMAP_PAGE);
      await this.file.read(at, bytes);
      this.bitmap = { at, bytes };
    }
    return (this.bitmap.bytes[(bit >> 3) % BITMAP_PAGE]! & (1 << (bit & 7))) !== 0;
  }
}
