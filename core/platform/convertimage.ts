/** Copies what a disk holds into another image, whatever the formats; what reads as zeros takes no room. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { BlockBackend } from '../backend/block.ts';
import type { DiskFormat } from '../contract/vm.ts';
import type { Qcow2Options } from '../disk/qcow2/create.ts';
import { Qcow2Image } from '../disk/qcow2/image.ts';
import { HypervueError } from '../util/errors.ts';
import { createDisk } from './creatediskfile.ts';
import { openImage } from './openimage.ts';

const CHUNK = 4 << 20;
/** Chunks that are read and written at the same time. */
const DEPTH = 4;
const ZERO_UNIT = 4096;

export interface ConvertOptions {
  from: { path: string; format?: DiskFormat | undefined };
  to: { path: string; format: DiskFormat } & Partial<Omit<Qcow2Options, 'sizeBytes'>>;
  compress?: boolean;
  signal?: AbortSignal;
  progress?: (done: number, total: number) => void;
}

/** Converts an image, with all that lies below it, into a new one that stands by itself. Never overwrites; leaves nothing when it fails. */
export async function convertImage(options: ConvertOptions): Promise<void> {
  if (path.resolve(options.from.path) === path.resolve(options.to.path))
    throw new HypervueError('invalid-argument', `${options.to.path} can't be converted into itself`, { path: options.to.path });
  if (options.compress && options.to.format !== 'qcow2')
    throw new HypervueError('unsupported', `${options.to.format} images can't be compressed`, { path: options.to.path }, 'Choose qcow2.');
  const source = await openImage(options.from.path, { readOnly: true, format: options.from.format });
  try {
    await createDisk(options.to.path, { ...options.to, sizeBytes: source.info.sizeBytes });
    const target = await openImage(options.to.path, { readOnly: false, format: options.to.format });
    let ok = false;
    try {
      await copyContents(source, target, options);
      await target.flush();
      ok = true;
    } finally {
      await target.close();
      if (!ok) await rm(options.to.path, { force: true });
    }
  } finally {
    await source.close();
  }
}

async function copyContents(source: BlockBackend, target: BlockBackend, options: ConvertOptions): Promise<void> {
  const total = source.info.sizeBytes;
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  let done = 0;
  const stop = () => {
    if (options.signal?.aborted) throw options.signal.reason ?? new HypervueError('cancelled', 'the conversion was cancelled');
    if (failures.length) throw failures[0];
  };
  // Compressed clusters are written one after another, whole ones; the rest in large pieces.
  const unit = options.compress && target instanceof Qcow2Image ? target.meta.clusterSize : CHUNK;
  try {
    for (let at = 0; at < total; ) {
      stop();
      const skipped = await zerosFrom(source, at, total);
      const next = unit === CHUNK ? at + skipped : Math.floor((at + skipped) / unit) * unit;
      if (next > at) {
        at = Math.min(next, total);
        done = at;
        options.progress?.(done, total);
        continue;
      }
      const length = Math.min(unit, total - at);
      const from = at;
      const job = copyChunk(source, target, from, length, options.compress === true)
        .catch((error) => {
          failures.push(error);
        })
        .then(() => {
          running.delete(job);
          done += length;
          options.progress?.(Math.min(done, total), total);
        });
      running.add(job);
      if (running.size >= DEPTH) await Promise.race(running);
      at += length;
    }
  } finally {
    await Promise.all(running);
  }
  stop();
}

/** Bytes from `at` that are known to be zeros without reading them. */
async function zerosFrom(source: BlockBackend, at: number, total: number): Promise<number> {
  if (!(source instanceof Qcow2Image)) return 0;
  let end = at;
  while (end < total) {
    const extent = await source.extent(end, total - end);
    if (extent.kind !== 'zero') break;
    end += extent.length;
  }
  return end - at;
}

async function copyChunk(source: BlockBackend, target: BlockBackend, at: number, length: number, compress: boolean): Promise<void> {
  const bytes = Buffer.allocUnsafe(length);
  await source.read(at, bytes);
  if (compress && target instanceof Qcow2Image) {
    if (!isZero(bytes)) await target.writeCompressed(at, bytes);
    return;
  }
  // Runs of what is not zero.
  for (let from = 0; from < length; ) {
    while (from < length && isZero(bytes.subarray(from, from + ZERO_UNIT))) from += ZERO_UNIT;
    let to = from;
    while (to < length && !isZero(bytes.subarray(to, to + ZERO_UNIT))) to += ZERO_UNIT;
    if (from < length) await target.write(at + from, bytes.subarray(from, Math.min(to, length)));
    from = to;
  }
}

const zeros = Buffer.alloc(CHUNK);
const isZero = (bytes: Buffer): boolean => bytes.equals(zeros.subarray(0, bytes.length));
