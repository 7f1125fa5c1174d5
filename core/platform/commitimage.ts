import path from 'node:path';
import type { ImageFormat } from '../contract/vm.ts';
import { commitInto } from '../disk/operations/commit.ts';
import type { Qcow2Image } from '../disk/qcow2/image.ts';
import type { TaskOptions } from '../disk/task.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { refuseDevice } from './blockdevice.ts';
import { backingPath, formatOf, imageFormat, openImage, readImageHeader } from './openimage.ts';

/** The image that lies directly below the overlay, as its header names it. Throws 'invalid-argument' when there is none. */
export async function imageBelow(image: string): Promise<{ path: string; format: ImageFormat }> {
  const header = (await imageFormat(image)) === 'qcow2' ? await readImageHeader(image) : undefined;
  if (header?.backingFile === undefined)
    throw new HypervueError(
      'invalid-argument',
      say('nothingBelow', { name: image }),
      { path: image, operation: 'commit' },
      say('fixOverlay'),
    );
  const below = backingPath(path.resolve(image), header.backingFile);
  return { path: below, format: formatOf(header.backingFormat) ?? (await imageFormat(below)) };
}

/**
 * Writes what the overlay holds into the image below it and empties the overlay, which stays and reads as before. Returns the path of the image below. Whoever
 * calls this holds the locks of both for writing and has made sure that nothing else lies on that image.
 */
export async function commitImage(image: string, options: TaskOptions & { passphrase?: string | undefined } = {}): Promise<string> {
  const below = await imageBelow(image);
  await refuseDevice(below.path, 'commit');
  const base = await openImage(below.path, { readOnly: false, format: below.format, passphrase: options.passphrase });
  let top: Qcow2Image;
  try {
    if (base.info.readOnly)
      throw new HypervueError('permission-denied', say('readOnlyImage', { path: below.path }), { path: below.path, operation: 'commit' });
    // One instance of the image below: what is written to it is what the overlay sees.
    top = (await openImage(image, { readOnly: false, format: 'qcow2', backing: base, passphrase: options.passphrase })) as Qcow2Image;
  } catch (error) {
    await base.close();
    throw error;
  }
  try {
    await commitInto(top, base, options);
  } catch (error) {
    await top.close().catch(() => {});
    throw error;
  }
  await top.close();
  return below.path;
}
