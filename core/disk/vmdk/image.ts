import type { BlockBackend } from '../../backend/block.ts';
import type { RandomAccessFile } from '../../backend/file.ts';
import type { Extent } from '../extent.ts';
import { corruptImage } from '../formaterrors.ts';
import { ReadOnlyDisk } from '../readonlydisk.ts';
import { SECTOR } from './header.ts';
import type { SparseExtent } from './sparse.ts';
import { say } from '../../util/say.ts';

/** A stretch of the disk: in a sparse extent, in a file byte by byte, or nowhere. */
export interface VmdkPart {
  sectors: number;
  sparse?: SparseExtent;
  flat?: { file: RandomAccessFile; offset: number };
}

interface Placed extends VmdkPart {
  from: number;
  to: number;
}

/** A VMDK disk of one or more extents. Owns their files. */
export class VmdkImage extends ReadOnlyDisk {
  private readonly parts: Placed[] = [];
  private readonly files = new Set<RandomAccessFile>();

  /** `file` is the descriptor, or the only extent. `parent` lies below, opened. */
  constructor(file: RandomAccessFile, parts: readonly VmdkPart[], parent?: BlockBackend) {
    const sectors = parts.reduce((sum, part) => sum + part.sectors, 0);
    super(file, sectors * SECTOR, parent);
    if (!sectors || sectors > 2 ** 43) throw corruptImage(file.path, say('damageDiskSectors', { count: sectors }));
    let at = 0;
    for (const part of parts) {
      this.parts.push({ ...part, from: at, to: at + part.sectors * SECTOR });
      at += part.sectors * SECTOR;
      const owned = part.sparse?.file ?? part.flat?.file;
      if (owned && owned !== file) this.files.add(owned);
    }
  }

  private partAt(offset: number): Placed {
    let low = 0;
    let high = this.parts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.parts[middle]!.from <= offset) low = middle;
      else high = middle - 1;
    }
    return this.parts[low]!;
  }

  protected async locate(offset: number, length: number): Promise<Extent> {
    const part = this.partAt(offset);
    const within = Math.min(length, part.to - offset);
    if (part.flat) {
      const host = part.flat.offset + offset - part.from;
      const found = part.flat.file.holeAt?.(host, host + within);
      if (found?.hole) return { offset, length: found.length, kind: 'zero' };
      return { offset, length: found?.length ?? within, kind: 'data', host };
    }
    if (!part.sparse) return { offset, length: within, kind: 'zero' };
    const extent = await part.sparse.locate(offset - part.from, within);
    return { ...extent, offset };
  }

  protected override fileOf(extent: Extent): RandomAccessFile {
    const part = this.partAt(extent.offset);
    return part.flat?.file ?? part.sparse!.file;
  }

  protected override unpack(offset: number): Promise<Uint8Array> {
    const part = this.partAt(offset);
    return part.sparse!.unpack(offset - part.from);
  }

  override async close(): Promise<void> {
    for (const file of this.files) await file.close();
    await super.close();
  }
}
