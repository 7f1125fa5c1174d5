/** What can be done with disk images that no machine uses just now; each operation holds the image's lock, so that none can begin to. */
import { stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import type { BlockBackend } from '../backend/block.ts';
import { TASK_HOLDER } from '../contract/holders.ts';
import type { Said } from '../contract/said.ts';
import type { ImageFormat } from '../contract/vm.ts';
import { extents } from '../disk/extent.ts';
import { compareDisks, firstData } from '../disk/operations/compare.ts';
import { type CheckReport, checkImage } from '../disk/qcow2/check.ts';
import { RawDisk } from '../disk/raw.ts';
import { Qcow2Image } from '../disk/qcow2/image.ts';
import { createSnapshot, deleteSnapshot, readSnapshots, renameSnapshot, revertToSnapshot } from '../disk/qcow2/snapshots.ts';
import { blockDeviceAt, refuseDevice } from '../platform/blockdevice.ts';
import { type CloneOptions, cloneImage } from '../platform/cloneimage.ts';
import { commitImage, imageBelow } from '../platform/commitimage.ts';
import { type CompactResult, compactImage } from '../platform/compactimage.ts';
import { type ConvertOptions, convertImage } from '../platform/convertimage.ts';
import { type CreateDiskOptions, createDisk } from '../platform/creatediskfile.ts';
import { filesBeside, refuseWhenBelow } from '../platform/imagesontop.ts';
import type { ImageLocks } from '../platform/imagelocks.ts';
import { asNamed } from '../platform/namedformat.ts';
import { fileError } from '../platform/nodefile.ts';
import { imageFormat, imagesBelow, openImage } from '../platform/openimage.ts';
import { type RebaseOptions, rebaseImage } from '../platform/rebaseimage.ts';
import type { TaskOptions } from '../disk/task.ts';
import type { Disposable } from '../util/disposable.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

export interface DiskInfo {
  path: string;
  format: ImageFormat;
  /** Size of the disk. */
  sizeBytes: number;
  /** What the file takes on the host's disk. */
  allocatedBytes: number;
  /** Images below, the nearest first, and the file that external data are in. */
  below: string[];
  dataFile?: string;
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

/** `belowProblem`: why the images below, which are not part of the check, can't all be found; null when they can. */
export type DiskCheckReport = CheckReport & { belowProblem: string | null; saidBelow?: Said };

export class Disks {
  private readonly locks: ImageLocks;
  private readonly known: () => Promise<string[]>;
  private readonly passphrase: string | undefined;

  /** `known`: images that machines have and that may lie on top of others; files in the same folder are looked into besides. `passphrase` opens encrypted images. */
  constructor(locks: ImageLocks, known: () => Promise<string[]> = async () => [], passphrase?: string) {
    this.locks = locks;
    this.known = known;
    this.passphrase = passphrase;
  }

  /** The same with a passphrase, for one operation. */
  opening(passphrase: string | undefined): Disks {
    return passphrase === undefined ? this : new Disks(this.locks, this.known, passphrase);
  }

  async info(file: string, format?: ImageFormat, tablesOnly = false): Promise<DiskInfo> {
    return this.withImage(file, { readOnly: true, format, forRepair: true, metadataOnly: tablesOnly }, async (image, found) => {
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
        ...(header.dataFile === undefined ? {} : { dataFile: path.resolve(path.dirname(file), header.dataFile) }),
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
    const format = options.from.format ?? (await guessed(from));
    await this.locked(from, true, format, undefined, async () => {
      const device = options.to.device && (await blockDeviceAt(options.to.path)) && this.locks.acquire(options.to.path, false, TASK_HOLDER);
      try {
        await convertImage({ ...options, from: { passphrase: this.passphrase, ...options.from, format, path: from } });
      } finally {
        if (device) device.dispose();
      }
    });
  }

  /** Grows the disk; with `shrink` makes it smaller too, which is refused unless everything behind the new end reads as zeros. */
  async resize(
    file: string,
    sizeBytes: number,
    options: TaskOptions & { format?: ImageFormat | undefined; shrink?: boolean } = {},
  ): Promise<void> {
    await refuseDevice(file, 'resize');
    await this.withImage(file, { readOnly: false, format: options.format }, async (image) => {
      await refuseWhenBelow(file, await this.neighbours(file), 'resize');
      const now = image.info.sizeBytes;
      if (sizeBytes < now) await refuseData(image, sizeBytes, options);
      if (image instanceof Qcow2Image || image instanceof RawDisk) await image.resize(sizeBytes);
    });
  }

  /** Writes what an overlay holds into the image below it and empties it. Returns that image's path. */
  async commit(file: string, options: TaskOptions = {}): Promise<string> {
    const below = await imageBelow(file);
    return this.locked(file, false, 'qcow2', below.path, async () => {
      await refuseWhenBelow(below.path, await this.neighbours(below.path), 'commit', file);
      // What lies on the overlay stays right: it reads as before.
      return commitImage(file, { passphrase: this.passphrase, ...options });
    });
  }

  /** Puts an overlay on another image, or on none. */
  async rebase(file: string, options: RebaseOptions): Promise<void> {
    await this.locked(file, false, 'qcow2', undefined, () => rebaseImage(file, { passphrase: this.passphrase, ...options }));
  }

  /** A second disk with the same contents, or (linked) an overlay. */
  async clone(options: CloneOptions): Promise<void> {
    const { path: file } = options.from;
    const format = options.from.format ?? (await guessed(file));
    await this.locked(file, true, format, undefined, () =>
      cloneImage({ passphrase: this.passphrase, ...options, from: { ...options.from, format } }),
    );
  }

  /** Gives back room that the image does not need. */
  async compact(file: string, options: TaskOptions & { format?: ImageFormat | undefined } = {}): Promise<CompactResult> {
    const format = options.format ?? (await guessed(file));
    return this.locked(file, false, format, undefined, () => compactImage(file, { passphrase: this.passphrase, ...options, format }));
  }

  /** Deletes an image; refused while it is in use, or while another one lies on top of it. */
  async delete(file: string): Promise<void> {
    const resolved = path.resolve(file);
    await refuseDevice(resolved, 'delete');
    await this.locked(resolved, false, 'raw', undefined, async () => {
      await refuseWhenBelow(resolved, await this.neighbours(resolved), 'delete');
      await unlink(resolved).catch((error) => {
        throw fileError(error, resolved, 'delete');
      });
    });
  }

  /** Images that may lie on top of this one. */
  private async neighbours(file: string): Promise<string[]> {
    return [...(await this.known()), ...(await filesBeside(file))];
  }

  /** Of the image's own tables; whether those below are there is told besides. */
  async check(file: string, repair: 'none' | 'leaks' | 'all', options: TaskOptions = {}): Promise<DiskCheckReport> {
    const how = { readOnly: repair === 'none', forRepair: true, metadataOnly: true };
    const report = await this.qcow2(file, how, 'formatNoCheck', (image) => checkImage(image, { ...options, repair }));
    const belowProblem = await imagesBelow(file, 'qcow2').then(
      () => null,
      (error: unknown) => asHypervueError(error),
    );
    return { ...report, belowProblem: belowProblem?.message ?? null, ...(belowProblem?.said ? { saidBelow: belowProblem.said } : {}) };
  }

  /** Where the bytes of the disk come from. `tablesOnly`: as far as the image's own tables say, which are open also when it is encrypted. */
  map(file: string, format?: ImageFormat, tablesOnly = false): Promise<DiskRange[]> {
    return this.withImage(file, { readOnly: true, format, metadataOnly: tablesOnly }, async (image) => {
      const total = image.info.sizeBytes;
      const ranges: DiskRange[] = [];
      for await (const extent of extents(image, 0, total)) {
        const last = ranges.at(-1);
        const follows = extent.kind !== 'data' || (last?.host !== undefined && last.host + last.length === extent.host);
        if (last?.kind === extent.kind && follows && extent.kind !== 'compressed') last.length += extent.length;
        else ranges.push({ ...extent });
      }
      return ranges;
    });
  }

  /** Offset of the first byte that differs, undefined when both disks hold the same. What one has beyond the other's end counts as zeros. */
  async compare(
    a: string,
    b: string,
    options: TaskOptions & { formats?: { a: ImageFormat; b: ImageFormat } } = {},
  ): Promise<number | undefined> {
    return this.withImage(a, { readOnly: true, format: options.formats?.a }, (first) =>
      this.withImage(b, { readOnly: true, format: options.formats?.b }, (second) => compareDisks(first, second, options)),
    );
  }

  takeSnapshot(file: string, name: string): Promise<string> {
    const now = Date.now();
    const date = { seconds: Math.floor(now / 1000), nanoseconds: (now % 1000) * 1e6 };
    return this.qcow2(file, { readOnly: false }, 'formatNoSnapshots', (image) => createSnapshot(image, name, date));
  }

  revert(file: string, snapshot: string): Promise<void> {
    return this.qcow2(file, { readOnly: false }, 'formatNoSnapshots', async (image) => {
      await refuseWhenBelow(file, await this.neighbours(file), 'revert');
      await revertToSnapshot(image, snapshot);
    });
  }

  deleteSnapshot(file: string, snapshot: string): Promise<void> {
    return this.qcow2(file, { readOnly: false }, 'formatNoSnapshots', (image) => deleteSnapshot(image, snapshot));
  }

  renameSnapshot(file: string, snapshot: string, name: string): Promise<void> {
    return this.qcow2(file, { readOnly: false }, 'formatNoSnapshots', (image) => renameSnapshot(image, snapshot, name));
  }

  private qcow2<T>(
    file: string,
    options: { readOnly: boolean; forRepair?: boolean; metadataOnly?: boolean },
    what: 'formatNoCheck' | 'formatNoSnapshots',
    work: (image: Qcow2Image) => Promise<T>,
  ): Promise<T> {
    return this.withImage(file, options, (image, format) => {
      if (image instanceof Qcow2Image) return work(image);
      throw new HypervueError('unsupported', say(what, { file, format }), { path: file }, say('fixConvertToQcow2'));
    });
  }

  private async withImage<T>(
    file: string,
    options: { readOnly: boolean; format?: ImageFormat | undefined; forRepair?: boolean; metadataOnly?: boolean },
    work: (image: BlockBackend, format: ImageFormat) => Promise<T>,
  ): Promise<T> {
    const format = options.format ?? (await guessed(file));
    return this.locked(file, options.readOnly, format, undefined, async () => {
      const image = await openImage(file, { passphrase: this.passphrase, ...options, format });
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

  /** Holds the lock of the image and reading locks of what lies below it; `changed` is one of those that is written to as well. */
  private async locked<T>(
    file: string,
    readOnly: boolean,
    format: ImageFormat | undefined,
    changed: string | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    const held: Disposable[] = [];
    try {
      held.push(this.locks.acquire(file, readOnly, TASK_HOLDER));
      // A chain that leads back to an image that is held already is refused by whoever opens it, or mended by a rebase.
      const once = new Set([path.resolve(file)]);
      for (const lower of await imagesBelow(file, format).catch(() => [])) {
        if (once.has(lower)) break;
        once.add(lower);
        held.push(this.locks.acquire(lower, lower !== changed, TASK_HOLDER));
      }
      return await work();
    } finally {
      for (const lock of held) lock.dispose();
    }
  }
}

/** What an image is of which nobody says it. Rejects as opening does, and with 'corrupt' when it is not as it is named. */
const guessed = async (file: string): Promise<ImageFormat> => asNamed(file, await imageFormat(file));

async function refuseData(image: BlockBackend, sizeBytes: number, options: TaskOptions & { shrink?: boolean }): Promise<void> {
  const { label } = image.info;
  if (!options.shrink)
    throw new HypervueError(
      'invalid-argument',
      say('largerThan', { path: label, size: sizeBytes }),
      { path: label, operation: 'resize' },
      say('fixLargerThan'),
    );
  const data = await firstData(image, sizeBytes, options);
  if (data !== undefined)
    throw new HypervueError(
      'invalid-state',
      say('dataCutOff', { path: label, offset: data, size: sizeBytes }),
      { path: label, operation: 'resize' },
      say('fixDataCutOff'),
    );
}
