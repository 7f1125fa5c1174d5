import path from 'node:path';
import { type ImageFormat, isDiskFormat } from '../contract/vm.ts';
import { extendedL2, type Header } from '../disk/qcow2/header.ts';
import { Qcow2Image } from '../disk/qcow2/image.ts';
import type { TaskOptions } from '../disk/task.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { convertImage } from './convertimage.ts';
import { createDisk } from './creatediskfile.ts';
import { copyImage } from './diskfile.ts';
import { formatName, imageFormat, openImage, readImageHeader } from './openimage.ts';

export interface CloneOptions extends TaskOptions {
  from: { path: string; format?: ImageFormat | undefined };
  to: string;
  /** An overlay instead of a copy: at once and small, but it needs the original, which must not change any more. */
  linked?: boolean | undefined;
  /** Opens an encrypted original; the clone is encrypted with it too. */
  passphrase?: string | undefined;
}

/** How an image at `top` names one at `below`: relative when they move together, in one folder or in one below it. */
export function backingName(top: string, below: string): string {
  const relative = path.relative(path.dirname(path.resolve(top)), path.resolve(below));
  return relative.startsWith('..') || path.isAbsolute(relative) ? path.resolve(below) : relative;
}

/**
 * A second disk with the same contents. A full clone needs nothing else; it keeps snapshots when nothing lies below the original. Never overwrites;
 * leaves nothing behind when it fails or is cancelled. Whoever calls this holds the lock of the original for reading.
 */
export async function cloneImage(options: CloneOptions): Promise<void> {
  const { from, to } = options;
  const format = from.format ?? (await imageFormat(from.path));
  if (options.linked) return cloneLinked(options, format);
  if (!isDiskFormat(format))
    throw new HypervueError(
      'unsupported',
      say('formatNotCloned', { path: from.path, format: format.toUpperCase() }),
      { path: from.path, operation: 'clone' },
      say('fixFormatNotCloned'),
    );
  const header = format === 'qcow2' ? await readImageHeader(from.path) : undefined;
  if (!header || (header.backingFile === undefined && header.dataFile === undefined)) {
    // Byte by byte: with everything that is in it.
    const { signal = { aborted: false }, progress = () => {} } = options;
    return copyImage(from.path, to, signal, progress);
  }
  if (header.snapshotCount)
    throw new HypervueError(
      'unsupported',
      say('cloneNoSnapshots', { path: from.path, count: header.snapshotCount }),
      { path: from.path, operation: 'clone' },
      say('fixCloneNoSnapshots'),
    );
  await convertImage({
    from: { path: from.path, format, passphrase: options.passphrase },
    to: { path: to, format, ...shapeOf(header), passphrase: header.encryption === 'none' ? undefined : options.passphrase },
    signal: options.signal,
    progress: options.progress,
  });
}

/** What a new image needs to be of the same shape. */
export function shapeOf(header: Header) {
  return {
    version: header.version,
    clusterSize: 2 ** header.clusterBits,
    refcountBits: 2 ** header.refcountOrder,
    compression: header.compression,
    extendedL2: extendedL2(header),
    lazyRefcounts: (header.compatible & 1) !== 0,
  };
}

async function cloneLinked({ from, to, passphrase }: CloneOptions, format: ImageFormat): Promise<void> {
  const source = await openImage(from.path, { readOnly: true, format, passphrase });
  const { sizeBytes } = source.info;
  const encrypted = source instanceof Qcow2Image && source.header.encryption !== 'none';
  await source.close();
  await createDisk(to, {
    format: 'qcow2',
    sizeBytes,
    backingFile: backingName(to, from.path),
    backingFormat: formatName(format),
    // What is written to an overlay of a secret is as secret.
    passphrase: encrypted ? passphrase : undefined,
  });
}
