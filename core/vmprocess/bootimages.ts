import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { DirectBoot } from '../machine/definition.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { Logger } from '../util/logger.ts';

interface OpenImage {
  path: string;
  fd: number;
  size: number;
  mtimeMs: number;
}

function open(path: string): OpenImage | undefined {
  try {
    const fd = openSync(path, 'r');
    const { size, mtimeMs } = fstatSync(fd);
    return { path, fd, size, mtimeMs };
  } catch {
    return undefined;
  }
}

/** The whole file as it is now. Throws 'io-error' when it can't be read. */
function read({ path, fd, size, mtimeMs }: OpenImage, log: Logger): Uint8Array {
  try {
    const now = fstatSync(fd);
    if (now.size !== size || now.mtimeMs !== mtimeMs)
      log.warn(`${path} has changed since the machine was started: it boots what is there now`);
    const bytes = new Uint8Array(now.size);
    let at = 0;
    for (let count = 1; count > 0 && at < bytes.length; at += count) count = readSync(fd, bytes, at, bytes.length - at, at);
    return at === bytes.length ? bytes : bytes.subarray(0, at);
  } catch (cause) {
    throw new HypervueError(
      'io-error',
      say('bootUnreadableAgain', { file: path }),
      { path, operation: 'direct boot' },
      say('fixStartAgain'),
      cause,
    );
  }
}

/**
 * Lets the images of a direct boot go once the guest has them, tens of megabytes that only a reset asks for again: they are read once more then, from files that
 * stay open, so that these may have been replaced or deleted. Where they can't be opened nothing changes. `restored`: the guest has booted already.
 */
export function releaseBootImages(
  boot: DirectBoot,
  files: { kernel: string; initrd: string | undefined },
  restored: boolean,
  log: Logger,
): void {
  const kernel = open(files.kernel);
  const initrd = files.initrd === undefined ? undefined : open(files.initrd);
  const usable = kernel?.size === boot.kernel.length && (files.initrd === undefined || initrd?.size === boot.initrd?.length);
  if (!kernel || !usable) {
    for (const image of [kernel, initrd]) if (image) closeSync(image.fd);
    return;
  }
  boot.again = () => ({ kernel: read(kernel, log), initrd: initrd && read(initrd, log) });
  boot.booted = restored;
}
