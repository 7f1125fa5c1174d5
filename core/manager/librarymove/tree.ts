/** Every file of a library, as it is copied and compared. */
import { chmod, lstat, mkdir, open, readdir, utimes } from 'node:fs/promises';
import path from 'node:path';
import { copyImage } from '../../platform/diskfile.ts';
import { HypervueError } from '../../util/errors.ts';
import { say } from '../../util/say.ts';
import { LOCK_FILE } from '../machinelocks.ts';
import type { TaskControl } from '../tasks.ts';

const CHUNK = 1 << 20;

export interface TreeFile {
  /** Relative to the library. */
  name: string;
  /** Room that it takes, bytes. */
  bytes: number;
  size: number;
  mode: number;
  atime: Date;
  mtime: Date;
}

export interface Tree {
  files: TreeFile[];
  folders: string[];
  bytes: number;
}

/** What is in `root`; locks, which say who works on a machine here and now, are left out. Rejects with 'unsupported' for a link, which would lead elsewhere from another place. */
export async function listTree(root: string): Promise<Tree> {
  const files: TreeFile[] = [];
  const folders: string[] = [];
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const full = path.join(entry.parentPath, entry.name);
    const name = path.relative(root, full);
    if (name.split(path.sep).some((part) => part.startsWith(LOCK_FILE))) continue;
    if (entry.isSymbolicLink())
      throw new HypervueError('unsupported', say('fileIsLink', { path: full }), { path: full, operation: 'move' }, say('fixFileIsLink'));
    if (entry.isDirectory()) folders.push(name);
    else if (entry.isFile()) {
      const { size, blocks, mode, atime, mtime } = await lstat(full);
      files.push({ name, size, bytes: blocks * 512, mode, atime, mtime });
    }
  }
  return { files, folders: folders.sort(), bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** Copies everything of `tree` from `from` into the empty folder `to`, brought to the disk and read again. Rejects with 'io-error' where it reads otherwise. */
export async function copyTree(tree: Tree, from: string, to: string, { signal, bytes }: TaskControl): Promise<void> {
  for (const name of tree.folders) await mkdir(path.join(to, name), { mode: 0o700 });
  let before = 0;
  for (const file of tree.files) {
    const [source, target] = [path.join(from, file.name), path.join(to, file.name)];
    await copyImage(source, target, signal, (done, size) => bytes(before + (size ? (done / size) * file.bytes : 0), tree.bytes, file.name));
    await compare(source, target, signal);
    await chmod(target, file.mode & 0o777);
    // A saved state knows its disks by size and time.
    await utimes(target, file.atime, file.mtime);
    before += file.bytes;
  }
}

async function compare(source: string, target: string, signal: AbortSignal): Promise<void> {
  const one = await open(source);
  const other = await open(target).catch(async (error) => {
    await one.close();
    throw error;
  });
  try {
    const [a, b] = [Buffer.alloc(CHUNK), Buffer.alloc(CHUNK)];
    for (let at = 0; ; ) {
      signal.throwIfAborted();
      const [{ bytesRead: had }, { bytesRead: has }] = [await one.read(a, 0, CHUNK, at), await other.read(b, 0, CHUNK, at)];
      if (had !== has || !a.subarray(0, had).equals(b.subarray(0, has)))
        throw new HypervueError(
          'io-error',
          say('moveDiffers', { path: target }),
          { path: target, operation: 'move' },
          say('fixMoveDiffers', { folder: path.dirname(target) }),
        );
      if (had === 0) return;
      at += had;
    }
  } finally {
    await one.close();
    await other.close();
  }
}

/** The first file that is not in `now` as it was in `then`, or is new; undefined when all is as it was. */
export function changedFile(then: Tree, now: Tree): string | undefined {
  const facts = ({ size, mtime }: TreeFile) => `${size} ${mtime.getTime()}`;
  const known = new Map(then.files.map((file) => [file.name, facts(file)]));
  const changed = now.files.find((file) => known.get(file.name) !== facts(file));
  if (changed) return changed.name;
  const there = new Set(now.files.map(({ name }) => name));
  return then.files.find(({ name }) => !there.has(name))?.name;
}
