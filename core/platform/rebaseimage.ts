import path from 'node:path';
import type { BlockBackend } from '../backend/block.ts';
import type { ImageFormat } from '../contract/vm.ts';
import { PaddedDisk, rebaseOnto } from '../disk/operations/rebase.ts';
import { setBackingFile } from '../disk/qcow2/backinglink.ts';
import type { Qcow2Image } from '../disk/qcow2/image.ts';
import type { TaskOptions } from '../disk/task.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { backingPath, formatName, formatOf, identity, imageFormat, imagesBelow, openImage, readImageHeader } from './openimage.ts';

export interface RebaseOptions extends TaskOptions {
  /** The image that is to lie below, as the header shall name it: relative to the overlay, or absolute. Absent: none, the overlay stands by itself. */
  backingFile?: string | undefined;
  backingFormat?: ImageFormat | undefined;
  /** Only the name changes: for images that were moved. The overlay reads as something else when the contents differ. */
  unsafe?: boolean | undefined;
  /** Opens encrypted images. */
  passphrase?: string | undefined;
}

/** Puts the overlay on another image; it reads as before, whatever happens on the way. Whoever calls this holds the overlay's lock. */
export async function rebaseImage(image: string, options: RebaseOptions): Promise<void> {
  const header = await readImageHeader(image);
  const link = options.backingFile === undefined ? undefined : await checkLink(image, options.backingFile, options.backingFormat);
  if (options.unsafe) return relink(image, header.sizeBytes, link, options.passphrase);
  let old: BlockBackend | undefined;
  let next: BlockBackend | undefined;
  try {
    if (header.backingFile !== undefined)
      old = await openImage(backingPath(path.resolve(image), header.backingFile), {
        readOnly: true,
        format: formatOf(header.backingFormat),
        passphrase: options.passphrase,
      });
    if (link)
      next = await openImage(backingPath(path.resolve(image), link.name), {
        readOnly: true,
        format: link.format,
        passphrase: options.passphrase,
      });
    const below = new PaddedDisk(old, Math.ceil(header.sizeBytes / 512) * 512);
    const top = (await openImage(image, {
      readOnly: false,
      format: 'qcow2',
      backing: below,
      passphrase: options.passphrase,
    })) as Qcow2Image;
    // Closed with the overlay from here on.
    old = undefined;
    try {
      await rebaseOnto(top, next, link && { ...link, format: formatName(link.format) }, options);
    } catch (error) {
      await top.close().catch(() => {});
      throw error;
    }
    await top.close();
  } finally {
    await old?.close();
    await next?.close();
  }
}

async function relink(
  image: string,
  sizeBytes: number,
  link: { name: string; format: ImageFormat } | undefined,
  passphrase: string | undefined,
): Promise<void> {
  // Nothing is read: the image that the header names may be gone.
  const top = (await openImage(image, {
    readOnly: false,
    format: 'qcow2',
    backing: new PaddedDisk(undefined, sizeBytes),
    passphrase,
  })) as Qcow2Image;
  try {
    await setBackingFile(top, link && { ...link, format: formatName(link.format) });
  } finally {
    await top.close();
  }
}

async function checkLink(image: string, name: string, format: ImageFormat | undefined): Promise<{ name: string; format: ImageFormat }> {
  const file = backingPath(path.resolve(image), name);
  const found = format ?? (await imageFormat(file));
  const self = await identity(image);
  for (const lower of [file, ...(await imagesBelow(file, found))])
    if ((await identity(lower)) === self)
      throw new HypervueError(
        'invalid-argument',
        say('rebaseItself', { image }),
        { path: image, operation: 'rebase' },
        say('fixRebaseItself'),
      );
  return { name, format: found };
}
