import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { TaskOptions } from '../disk/task.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { syncFolder } from './atomicfile.ts';
import { freeBytes } from './hostinfo.ts';
import { existsError } from './newfile.ts';
import { fileError, NodeFile } from './nodefile.ts';

const CHUNK = 1024 * 1024;

/** Opens a new file for writing. Rejects with 'already-exists' when there is one. */
export async function createExclusive(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw existsError(file, error);
    throw fileError(error, file, 'create');
  }
}

/** Creates a sparse raw image. Never overwrites; leaves nothing behind when it fails. */
export async function createRawDisk(file: string, sizeBytes: number): Promise<void> {
  const handle = await createExclusive(file);
  try {
    await handle.truncate(sizeBytes);
    await handle.sync();
    await handle.close();
    await syncFolder(path.dirname(file));
  } catch (error) {
    await handle.close().catch(() => {});
    await rm(file, { force: true }).catch(() => {});
    throw fileError(error, file, 'create');
  }
}

/**
 * Copies an image; blocks of zeros become holes. Never overwrites. Checks `signal` at every block; on cancel or failure nothing is left behind.
 * `progress` gets bytes done and the total.
 */
export async function copyImage(
  from: string,
  to: string,
  signal: NonNullable<TaskOptions['signal']>,
  progress: (done: number, total: number) => void,
): Promise<void> {
  const source = await NodeFile.open(from, true);
  let target: FileHandle | undefined;
  try {
    const size = await source.size();
    const needed = await allocatedBytes(from);
    const free = await freeBytes(path.dirname(to));
    if (needed > free)
      throw new HypervueError(
        'no-space',
        say('copyNoRoom', { folder: path.dirname(to), freeBytes: free, path: from, neededBytes: needed }),
        { path: to, operation: 'copy' },
        say('fixCopyNoRoom'),
      );
    target = await createExclusive(to);
    const chunk = Buffer.alloc(CHUNK);
    for (let at = 0; at < size; ) {
      if (signal.aborted) throw signal.reason ?? new HypervueError('cancelled', say('copyCancelled'), { path: from });
      // Never past the end seen at first: a file that grows meanwhile would be copied for ever.
      const wanted = Math.min(CHUNK, size - at);
      const got = await source.read(at, chunk.subarray(0, wanted));
      if (got < wanted) throw new HypervueError('io-error', say('copyShrank', { path: from }), { path: from, operation: 'copy' });
      const part = chunk.subarray(0, got);
      if (!isZero(part)) await writeAll(target, part, at);
      at += got;
      progress(at, size);
    }
    await target.truncate(size);
    await target.sync();
    await target.close();
    await syncFolder(path.dirname(to));
  } catch (error) {
    if (target) {
      await target.close().catch(() => {});
      await rm(to, { force: true }).catch(() => {});
    }
    throw fileError(error, to, 'copy');
  } finally {
    await source.close();
  }
}

async function writeAll(target: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await target.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
}

function isZero(bytes: Buffer): boolean {
  return bytes[0] === 0 && bytes.subarray(1).equals(bytes.subarray(0, -1));
}

/** Bytes that a copy of `file` takes: of a sparse file only what it holds (st_blocks counts 512-byte units), of a block device all. */
export async function allocatedBytes(file: string): Promise<number> {
  const info = await stat(file);
  if (info.isFile()) return Math.min(info.size, info.blocks * 512);
  const device = await NodeFile.open(file, true);
  return device.size().finally(() => device.close());
}
