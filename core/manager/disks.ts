/** What can be done with disk images that no machine uses just now; each operation holds the image's lock, so that none can begin to. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { BlockBackend } from '../backend/block.ts';
import type { DiskFormat } from '../contract/vm.ts';
import { type CheckReport, checkImage } from '../disk/qcow2/check.ts';
import { RawDisk } from '../disk/raw.ts';
import { Qcow2Image } from '../disk/qcow2/image.ts';
import { createSnapshot, deleteSnapshot, readSnapshots, renameSnapshot, revertToSnapshot } from '../disk/qcow2/snapshots.ts';
import { type ConvertOptions, convertImage } from '../platform/convertimage.ts';
import { type CreateDiskOptions, createDisk } from '../platform/creatediskfile.ts';
import type { ImageLocks } from '../platform/imagelocks.ts';
import { imageFormat, imagesBelow, openImage } from '../platform/openimage.ts';
import type { Disposable } from '../util/disposable.ts';
import { HypervueError } from '../util/errors.ts';

export interface DiskInfo {
  path: string;
  format: DiskFormat;
  /** Size of the disk. */
  sizeBytes: number;
  /** What the file takes on the host's disk. */
  allocatedBytes: number;
  /** Images below, the nearest first. */
  below: string[];
  clusterBytes?: number;
  version?: number;
  compression?: string;
  refcountBits?: number;
  extendedL2?: boolean;
  encryption?: string;
  dirty?: boolean;
  damaged?: boolean;
  snapshots?: { id: string; name: string; date: string; sizeBytes: number; vmStateBytes: number }[];
}

/** A stretch of a disk and where its bytes come from; neighbours of one kind are one. */
export interface DiskRange {
  offset: number;
  length: number;
  kind: 'data' | 'zero' | 'compressed' | 'backing';
  host?: number;
}

const HOLDER = 'a disk command';
const CHUNK = 4 << 20;

export class Disks {
  private readonly locks: ImageLocks;

  constructor(locks: ImageLocks) {
    this.locks = locks;
  }

  async info(file: string, format?: DiskFormat): Promise<DiskInfo> {
    return this.withImage(file, { readOnly: true, format, forRepair: true }, async (image, found) => {
      const info = await stat(file);
      const result: DiskInfo = {
        path: path.resolve(file),
        format: found,
        sizeBytes: image.info.sizeBytes,
        allocatedBytes: info.isFile() ? info.blocks * 512 : image.info.sizeBytes,
        below: await imagesBelow(file, found),
      };
      if (!(image instanceof Qcow2Image)) return result;
      const { header } = image;
      return {
        ...result,
        clusterBytes: image.meta.clusterSize,
        version: header.version,
        compression: header.compression,
        refcountBits: 2 ** header.refcountOrder,
        extendedL2: image.meta.shape.extended,
        encryption: header.encryption,
        dirty: (header.incompatible & 1) !== 0,
        damaged: (header.incompatible & 2) !== 0,
        snapshots: (await readSnapshots(image)).entries.map((entry) => ({
          id: entry.id,
          name: entry.name,
          date: new Date(entry.dateSeconds * 1000).toISOString(),
          sizeBytes: entry.diskBytes,
          vmStateBytes: entry.vmStateBytes,
        })),
      };
    });
  }

  create(file: string, options: CreateDiskOptions): Promise<void> {
    return createDisk(path.resolve(file), options);
  }

  async convert(options: ConvertOptions): Promise<void> {
    const from = path.resolve(options.from.path);
    await this.locked(from, true, options.from.format, () => convertImage({ ...options, from: { ...options.from, path: from } }));
  }

  /** Grows or shrinks the disk. Shrinking is refused unless everything behind the new end reads as zeros. */
  async resize(file: string, sizeBytes: number, format?: DiskFormat): Promise<void> {
    await this.withImage(file, { readOnly: false, format }, async (image) => {
      const now = image.info.sizeBytes;
      if (sizeBytes < now) await refuseData(image, sizeBytes, now);
      if (image instanceof Qcow2Image || image instanceof RawDisk) await image.resize(sizeBytes);
    });
  }

  check(file: string, repair: 'none' | 'leaks' | 'all', progress?: (done: number, total: number) => void): Promise<CheckReport> {
    return this.qcow2(file, { readOnly: repair === 'none', forRepair: true }, 'be checked', (image) =>
      checkImage(image, { repair, ...(progress ? { progress } : {}) }),
    );
  }

  /** Where the bytes of the disk come from. */
  map(file: string, format?: DiskFormat): Promise<DiskRange[]> {
    return this.withImage(file, { readOnly: true, format }, async (image) => {
      const total = image.info.sizeBytes;
      if (!(image instanceof Qcow2Image)) return [{ offset: 0, length: total, kind: 'data', host: 0 }];
      const ranges: DiskRange[] = [];
      for (let at = 0; at < total; ) {
        const extent = await image.extent(at, total - at);
        const last = ranges.at(-1);
        const follows = extent.kind !== 'data' || (last?.host !== undefined && last.host + last.length === extent.host);
        if (last?.kind === extent.kind && follows && extent.kind !== 'compressed') last.length += extent.length;
        else ranges.push({ ...extent });
        at += extent.length;
      }
      return ranges;
    });
  }

  /** Offset of the first byte that differs, undefined when both disks hold the same. What one has beyond the other's end counts as zeros. */
  async compare(a: string, b: string): Promise<number | undefined> {
    return this.withImage(a, { readOnly: true }, (first) =>
      this.withImage(b, { readOnly: true }, async (second) => {
        const total = Math.max(first.info.sizeBytes, second.info.sizeBytes);
        const left = Buffer.alloc(CHUNK);
        const right = Buffer.alloc(CHUNK);
        for (let at = 0; at < total; at += CHUNK) {
          await readPadded(first, at, left);
          await readPadded(second, at, right);
          if (left.equals(right)) continue;
          return at + left.findIndex((byte, i) => byte !== right[i]);
        }
        return undefined;
      }),
    );
  }

  takeSnapshot(file: string, name: string): Promise<string> {
    const now = Date.now();
    const date = { seconds: Math.floor(now / 1000), nanoseconds: (now % 1000) * 1e6 };
    return this.qcow2(file, { readOnly: false }, 'have snapshots', (image) => createSnapshot(image, name, date));
  }

  revert(file: string, snapshot: string): Promise<void> {
    return this.qcow2(file, { readOnly: false }, 'have snapshots', (image) => revertToSnapshot(image, snapshot));
  }

  deleteSnapshot(file: string, snapshot: string): Promise<void> {
    return this.qcow2(file, { readOnly: false }, 'have snapshots', (image) => deleteSnapshot(image, snapshot));
  }

  renameSnapshot(file: string, snapshot: string, name: string): Promise<void> {
    return this.qcow2(file, { readOnly: false }, 'have snapshots', (image) => renameSnapshot(image, snapshot, name));
  }

  private qcow2<T>(
    file: string,
    options: { readOnly: boolean; forRepair?: boolean },
    what: string,
    work: (image: Qcow2Image) => Promise<T>,
  ): Promise<T> {
    return this.withImage(file, options, (image, format) => {
      if (image instanceof Qcow2Image) return work(image);
      throw new HypervueError(
        'unsupported',
        `${file} is a ${format} image, which can't ${what}`,
        { path: file },
        'Convert it to qcow2 (hypervue disk convert).',
      );
    });
  }

  private async withImage<T>(
    file: string,
    options: { readOnly: boolean; format?: DiskFormat | undefined; forRepair?: boolean },
    work: (image: BlockBackend, format: DiskFormat) => Promise<T>,
  ): Promise<T> {
    const format = options.format ?? (await imageFormat(file));
    return this.locked(file, options.readOnly, format, async () => {
      const image = await openImage(file, { ...options, format });
      let result: T;
      try {
        result = await work(image, format);
      } catch (error) {
        // What went wrong first is the message.
        await image.close().catch(() => {});
        throw error;
      }
      await image.close();
      return result;
    });
  }

  private async locked<T>(file: string, readOnly: boolean, format: DiskFormat | undefined, work: () => Promise<T>): Promise<T> {
    const held: Disposable[] = [];
    try {
      held.push(this.locks.acquire(file, readOnly, HOLDER));
      for (const lower of await imagesBelow(file, format).catch(() => [])) held.push(this.locks.acquire(lower, true, HOLDER));
      return await work();
    } finally {
      for (const lock of held) lock.dispose();
    }
  }
}

async function readPadded(image: BlockBackend, offset: number, target: Buffer): Promise<void> {
  const there = Math.max(0, Math.min(target.length, image.info.sizeBytes - offset));
  if (there) await image.read(offset, target.subarray(0, there));
  target.fill(0, there);
}

async function refuseData(image: BlockBackend, from: number, to: number): Promise<void> {
  const bytes = Buffer.alloc(CHUNK);
  for (let at = from; at < to; at += CHUNK) {
    const part = bytes.subarray(0, Math.min(CHUNK, to - at));
    await image.read(at, part);
    const data = part.findIndex((byte) => byte !== 0);
    if (data >= 0)
      throw new HypervueError(
        'invalid-state',
        `${image.info.label} has data at byte ${at + data}, which shrinking it to ${from} bytes would cut off`,
        { path: image.info.label, operation: 'resize' },
        'Shrink the file system and the partitions in the guest first, then overwrite or discard what is behind them.',
      );
  }
}
