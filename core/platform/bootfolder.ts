import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import path from 'node:path';
import type { BootFile, OpenBootFile } from '../net/tftp.ts';

/** Read at once of a file that is read from front to back. */
const AHEAD_BYTES = 256 * 1024;

/**
 * Gives out the files of a folder and those below it. Names are a guest's: with `/` or `\` between folders, also in front. What is outside, also by a
 * symbolic link, and what is no file is not there for it.
 */
export function bootFolder(folder: string): OpenBootFile {
  return async (name) => {
    const parts = name.split(/[/\\]+/).filter((part) => part !== '' && part !== '.');
    // A colon begins a stream or a drive on Windows.
    if (!parts.length || parts.some((part) => part === '..' || /[\0:]/.test(part))) return undefined;
    try {
      const root = await realpath(folder);
      const file = await realpath(path.join(root, ...parts));
      const inside = path.relative(root, file);
      if (inside === '' || inside.split(path.sep)[0] === '..' || path.isAbsolute(inside)) return undefined;
      // Without waiting for who writes into a pipe.
      const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0));
      const stat = await handle.stat();
      if (stat.isFile()) return fileOf(handle, stat.size);
      await handle.close();
      return undefined;
    } catch {
      return undefined;
    }
  };
}

function fileOf(handle: Awaited<ReturnType<typeof open>>, size: number): BootFile {
  let room: Buffer | undefined;
  let at = 0;
  let filled = 0;
  return {
    size,
    read: async (offset, length) => {
      room ??= Buffer.allocUnsafe(AHEAD_BYTES);
      const wanted = Math.max(0, Math.min(length, size - offset));
      if (offset < at || offset + wanted > at + filled) {
        at = offset;
        filled = 0;
        ({ bytesRead: filled } = await handle.read(room, 0, Math.min(room.length, Math.max(0, size - offset)), offset));
      }
      return room.subarray(offset - at, Math.min(offset - at + wanted, filled));
    },
    close: () => void handle.close().catch(() => {}),
  };
}
