import type { RandomAccessFile } from '../../backend/file.ts';
import type { Extent } from '../extent.ts';
import { corruptImage } from '../formaterrors.ts';
import { PagedTable } from '../pagedtable.ts';
import { ReadOnlyDisk } from '../readonlydisk.ts';
import { parseVdiHeader, VDI_HEADER_BYTES, type VdiHeader } from './header.ts';
import { say } from '../../util/say.ts';

/** Block map entries without a block: nothing was ever written, or it was discarded. */
const NONE = 0xffff_ffff;
const DISCARDED = 0xffff_fffe;
/** Blocks that one extent has at most: nothing waits for a longer walk. */
const MOST_BLOCKS = 4096;

/** A VirtualBox image, dynamic or fixed. Blocks that lie one behind the other are one extent. */
export class VdiImage extends ReadOnlyDisk {
  private readonly header: VdiHeader;
  private readonly map: PagedTable;

  private constructor(file: RandomAccessFile, header: VdiHeader) {
    super(file, header.sizeBytes);
    this.header = header;
    this.map = new PagedTable(file, header.mapOffset);
  }

  static async open(file: RandomAccessFile): Promise<VdiImage> {
    const start = new Uint8Array(VDI_HEADER_BYTES);
    const got = await file.read(0, start);
    const header = parseVdiHeader(start.subarray(0, got), file.path);
    if (header.mapOffset + Math.ceil(header.sizeBytes / header.blockBytes) * 4 > (await file.size()))
      throw corruptImage(file.path, say('damageBlockMapCut'));
    return new VdiImage(file, header);
  }

  protected async locate(offset: number, length: number): Promise<Extent> {
    const { blockBytes } = this.header;
    const first = await this.blockAt(offset);
    let taken = blockBytes - (offset % blockBytes);
    for (let i = 0; taken < length && i < MOST_BLOCKS; i++) {
      const next = await this.blockAt(offset + taken);
      if (first === undefined ? next !== undefined : next !== first + taken) break;
      taken += blockBytes;
    }
    const result = { offset, length: Math.min(taken, length) };
    return first === undefined ? { ...result, kind: 'zero' } : { ...result, kind: 'data', host: first };
  }

  /** Where the byte lies in the file; undefined: nowhere, it is zero. */
  private async blockAt(offset: number): Promise<number | undefined> {
    const { blockBytes, extraBytes, dataOffset, blocks } = this.header;
    const block = Math.floor(offset / blockBytes);
    const loaded = this.map.page(block * 4);
    const view = loaded instanceof DataView ? loaded : await loaded;
    const entry = view.getUint32(this.map.within(block * 4), true);
    if (entry === NONE || entry === DISCARDED) return undefined;
    if (entry >= blocks) throw corruptImage(this.info.label, say('damageBlockIn', { block, entry, blocks }));
    return dataOffset + entry * (blockBytes + extraBytes) + extraBytes + (offset % blockBytes);
  }
}
