import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface SmallDisk {
  folder: string;
  /** Takes what space is left. */
  fill(): void;
  /** Removes everything on it. */
  clear(): void;
  unmount(): void;
}

/** A real file system of `bytes`, for tests of a full disk; undefined where this user may not mount one. */
export function mountSmall(bytes: number): SmallDisk | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-small-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    // A container without the capability.
    rmdirSync(folder);
    return undefined;
  }
  return {
    folder,
    fill() {
      const file = openSync(path.join(folder, 'filler'), 'a');
      try {
        for (let size = 65_536; size >= 1; )
          try {
            writeSync(file, Buffer.alloc(size, 1));
          } catch {
            size = Math.floor(size / 2);
          }
      } finally {
        closeSync(file);
      }
    },
    clear() {
      for (const name of readdirSync(folder)) rmSync(path.join(folder, name), { recursive: true });
    },
    unmount() {
      // Lazy: a process that still ends may hold a file on it.
      execFileSync('umount', ['-l', folder], { stdio: 'ignore' });
      rmdirSync(folder);
    },
  };
}
