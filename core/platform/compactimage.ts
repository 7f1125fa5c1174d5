import { chmod, chown, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { type ImageFormat, isDiskFormat } from '../contract/vm.ts';
import { compareDisks } from '../disk/operations/compare.ts';
import { compactInto, punchZeros, reclaimInPlace } from '../disk/operations/compact.ts';
import { type CheckReport, checkImage } from '../disk/qcow2/check.ts';
import type { Qcow2Image } from '../disk/qcow2/image.ts';
import { RawDisk } from '../disk/raw.ts';
import type { TaskOptions } from '../disk/task.ts';
import { HypervueError } from '../util/errors.ts';
import { say, type Saying } from '../util/say.ts';
import { syncFolder } from './atomicfile.ts';
import { refuseDevice } from './blockdevice.ts';
import { shapeOf } from './cloneimage.ts';
import { createDisk } from './creatediskfile.ts';
import { allocatedBytes } from './diskfile.ts';
import type { ImageLocks } from './imagelocks.ts';
import { NodeFile } from './nodefile.ts';
import { imageFormat, openImage } from './openimage.ts';

/** Of the new file beside the image until it takes the image's place. */
export const COMPACT_ENDING = '.hypervue-compact';

export interface CompactOptions extends TaskOptions {
  format?: ImageFormat | undefined;
  /** Opens encrypted images. */
  passphrase?: string | undefined;
}

export interface CompactResult {
  /** Bytes that the file takes on the host's disk. */
  before: number;
  after: number;
}

/**
 * Gives back what the image does not need. A plain qcow2 image is written anew beside itself, compared with the original, and takes its place in one
 * step; one with snapshots, bitmaps, external data, encryption or a second name (hard link), and a raw one, get holes. Cancelled or failed, the image is as it was. Whoever
 * calls this holds the image's lock for writing.
 */
export async function compactImage(image: string, options: CompactOptions = {}): Promise<CompactResult> {
  const file = await realpath(image);
  await refuseDevice(file, 'compact');
  const before = await allocatedBytes(file);
  const format = options.format ?? (await imageFormat(file));
  if (!isDiskFormat(format))
    throw new HypervueError(
      'unsupported',
      say('imageReadOnlyFormat', { path: image, format: format.toUpperCase() }),
      { path: image, operation: 'compact' },
      say('fixConvertToQcow2'),
    );
  if (format === 'raw') await compactRaw(file, options);
  else await compactQcow2(file, options);
  return { before, after: await allocatedBytes(file) };
}

/** Removes from a folder what compacting left behind when its process was killed; what somebody still works on, or can't be removed, stays. Returns the paths. */
export async function removeCutOffCompacts(folder: string, locks: ImageLocks): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.endsWith(COMPACT_ENDING)) continue;
    const file = path.join(folder, name);
    try {
      // Where the image is missing nobody can tell whose this is.
      const lock = locks.acquire(file.slice(0, -COMPACT_ENDING.length), false, 'Hypervue');
      await rm(file).finally(() => lock.dispose());
      removed.push(file);
    } catch {
      // Tried again at the next start.
    }
  }
  return removed;
}

async function compactRaw(file: string, options: TaskOptions): Promise<void> {
  const handle = await NodeFile.open(file, false);
  const disk = await RawDisk.open(handle, { readOnly: false, sectorBytes: 512 });
  try {
    await punchZeros(disk, handle, options);
  } finally {
    await disk.close();
  }
}

async function compactQcow2(file: string, options: CompactOptions): Promise<void> {
  const source = (await openImage(file, { readOnly: true, format: 'qcow2', passphrase: options.passphrase })) as Qcow2Image;
  const { header } = source;
  const plain =
    !header.snapshotCount && !header.bitmaps && header.dataFile === undefined && header.encryption === 'none' && !header.unknown.length;
  // Under its other names (hard links) the image would stay the old one, as a second disk from then on.
  const anew = plain && (await stat(file)).nlink === 1;
  try {
    await refuseUnsound(source);
    if (anew) await rewrite(file, source, options);
  } finally {
    await source.close();
  }
  if (anew) return;
  const image = (await openImage(file, { readOnly: false, format: 'qcow2', passphrase: options.passphrase })) as Qcow2Image;
  try {
    await reclaimInPlace(image, options);
  } finally {
    await image.close();
  }
}

const firstOf = ({ messages, saidMessages, errors }: CheckReport): Saying =>
  saidMessages[0] ? { text: messages[0]!, said: saidMessages[0] } : say('foundErrors', { count: errors });

async function refuseUnsound(image: Qcow2Image): Promise<void> {
  const report = await checkImage(image, { repair: 'none' });
  if (!report.errors) return;
  throw new HypervueError(
    'corrupt',
    say('imageDamagedIn', { path: image.info.label, what: firstOf(report) }),
    { path: image.info.label, operation: 'compact' },
    say('fixRepairFirst'),
  );
}

async function rewrite(file: string, source: Qcow2Image, options: CompactOptions): Promise<void> {
  const { header } = source;
  // Of an image below.
  const { passphrase } = options;
  const next = file + COMPACT_ENDING;
  // Ours, from a run that was killed: the image's lock is held.
  await rm(next, { force: true });
  const total = source.info.sizeBytes;
  // Writing and comparing are half of the work each.
  const half = (from: number) => (done: number) => options.progress?.(from + done / 2, total);
  try {
    await createDisk(next, {
      format: 'qcow2',
      sizeBytes: total,
      ...shapeOf(header),
      ...(header.backingFile === undefined ? {} : { backingFile: header.backingFile }),
      ...(header.backingFormat === undefined ? {} : { backingFormat: header.backingFormat }),
    });
    const target = (await openImage(next, { readOnly: false, format: 'qcow2', passphrase, writeBehind: true })) as Qcow2Image;
    try {
      await compactInto(source, target, { signal: options.signal, progress: half(0) });
    } finally {
      await target.close();
    }
    await proveEqual(source, next, { signal: options.signal, progress: half(total / 2), passphrase });
    const { mode, uid, gid } = await stat(file);
    await chmod(next, mode & 0o7777);
    // Only the administrator may give files away; who may not keeps them.
    await chown(next, uid, gid).catch(() => {});
    await rename(next, file);
    await syncFolder(path.dirname(file));
  } catch (error) {
    await rm(next, { force: true }).catch(() => {});
    throw error;
  }
}

/** Reads the new image from the disk anew. */
async function proveEqual(source: Qcow2Image, file: string, options: CompactOptions): Promise<void> {
  const target = (await openImage(file, { readOnly: true, format: 'qcow2', passphrase: options.passphrase })) as Qcow2Image;
  try {
    const report = await checkImage(target, { repair: 'none' });
    const different = await compareDisks(source, target, options);
    if (!report.errors && different === undefined && target.info.sizeBytes === source.info.sizeBytes) return;
    throw new HypervueError(
      'io-error',
      different === undefined
        ? say('compactUnsound', { path: source.info.label, what: firstOf(report) })
        : say('compactDiffers', { path: source.info.label, offset: different }),
      { path: source.info.label, operation: 'compact' },
      say('fixCompact'),
    );
  } finally {
    await target.close();
  }
}
