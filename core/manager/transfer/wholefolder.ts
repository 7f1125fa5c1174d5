/** A machine's folder carried elsewhere as a whole: into the library from another computer's copy, or out of it with every disk that it needs. */
import { lstat, mkdir, readdir, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import type { Drive, VmConfig } from '../../contract/vm.ts';
import { convertImage } from '../../platform/convertimage.ts';
import { allocatedBytes, copyImage } from '../../platform/diskfile.ts';
import { freeBytes } from '../../platform/hostinfo.ts';
import type { ImageLocks } from '../../platform/imagelocks.ts';
import { UNFINISHED } from '../../platform/newfile.ts';
import { imagesBelow } from '../../platform/openimage.ts';
import { HypervueError } from '../../util/errors.ts';
import { type Saying, say } from '../../util/say.ts';
import { LOCK_FILE } from '../machinelocks.ts';
import { freeFileName } from '../names.ts';
import { readImageFacts } from '../storage/headers.ts';
import type { TaskControl } from '../tasks.ts';
import { CONFIG_FILE } from '../vmconfigfile.ts';
import { isInside, plainPaths } from './inside.ts';
import { type DiskOwner, outsideNote } from './outsidedisk.ts';
import { isBelow } from '../paths.ts';

/** A machine's folder has some tens of files; a folder with more is something else. */
const MAX_FILES = 10_000;

export interface WholeFolder {
  /** Relative paths of its files, without configuration and locks. */
  files: { name: string; bytes: number }[];
  folders: string[];
  bytes: number;
}

/** What is in a machine's folder. Links are refused: they may lead to files that are nobody's business. */
export async function listFolder(folder: string): Promise<WholeFolder> {
  const files: WholeFolder['files'] = [];
  const folders: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const full = path.join(entry.parentPath, entry.name);
    const name = path.relative(folder, full);
    // A lock may be a folder; beside it may lie what its owner was writing when it died.
    const isLock = name.split(path.sep, 1)[0]!.startsWith(LOCK_FILE);
    if (isLock || name === CONFIG_FILE || entry.name.startsWith(UNFINISHED)) continue;
    if (files.length >= MAX_FILES)
      throw new HypervueError('resource-limit', say('tooManyFiles', { folder, most: MAX_FILES }), { path: folder }, say('fixTooManyFiles'));
    if (entry.isSymbolicLink())
      throw new HypervueError('unsupported', say('fileIsLink', { path: full }), { path: full, operation: 'copy' }, say('fixFileIsLink'));
    if (entry.isDirectory()) folders.push(name);
    else if (entry.isFile()) files.push({ name, bytes: (await lstat(full)).blocks * 512 });
  }
  return { files, folders, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
}

export interface CarryOptions {
  locks: ImageLocks;
  holder: string;
  control: TaskControl;
  /** What lies outside: `keep` is used where it is, `copyDisks` but for disks, which are copied; `leave` copies disks and the kernel and takes media out. */
  outside: 'keep' | 'copyDisks' | 'leave';
  /** Of other machines, which may have the same disks. */
  owners: readonly DiskOwner[];
}

/** What a copy of a disk that stands by itself takes at the most, bytes: it takes in what lies below. What can't be looked at counts nothing. */
export async function copyBytes(file: string, format: Drive['format']): Promise<number> {
  const below = await imagesBelow(file, format).catch(() => []);
  const sizes = await Promise.all([file, ...below].map((each) => allocatedBytes(each).catch(() => 0)));
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

/** Copies the machine of `folder` into `target`; gives the configuration that the copy has and what had to be changed. */
export async function carryFolder(
  folder: string,
  written: VmConfig,
  target: string,
  options: CarryOptions,
): Promise<{ config: VmConfig; notes: Saying[] }> {
  const config = plainPaths(written, folder);
  const whole = await listFolder(folder);
  const { drives, extra, notes } = await settleDrives(config, whole, options);
  const boot = await settleKernel(folder, config.boot, options.outside === 'leave', extra, notes, whole);
  for (const name of whole.folders.sort()) await mkdir(path.join(target, name), { recursive: true, mode: 0o700 });
  const flattened = await chainsOutside(folder, config.drives);
  const jobs = [
    ...whole.files.map(({ name, bytes }) => ({ from: path.join(folder, name), to: name, bytes, drive: flattened.get(name) })),
    ...extra,
  ];
  const total = jobs.reduce((sum, { bytes }) => sum + bytes, 0);
  // Told before an hour of copying, not after it.
  const free = await freeBytes(target);
  if (total > free)
    throw new HypervueError(
      'no-space',
      say('copyNoRoom', { folder: target, freeBytes: free, path: folder, neededBytes: total }),
      { path: target, operation: 'copy' },
      say('fixSpace'),
    );
  let before = 0;
  for (const { from, to, bytes, drive } of jobs) {
    const lock = options.locks.acquire(from, true, options.holder);
    try {
      const progress = (done: number, of: number) =>
        options.control.bytes(before + (of ? (done / of) * bytes : 0), total, path.basename(from));
      const { signal } = options.control;
      const file = path.join(target, to);
      // What lies below it stays behind, so the copy takes it in.
      if (drive) await convertImage({ from: { path: from, format: drive.format }, to: { path: file, format: 'qcow2' }, signal, progress });
      else {
        await copyImage(from, file, signal, progress);
        // A saved state knows its disks by size and time.
        const { atime, mtime } = await stat(from);
        await utimes(file, atime, mtime);
      }
    } finally {
      lock.dispose();
    }
    before += bytes;
  }
  return { config: { ...config, drives, boot }, notes };
}

interface Extra {
  from: string;
  to: string;
  bytes: number;
  drive: Drive | undefined;
}

async function settleDrives(config: VmConfig, whole: WholeFolder, { outside, owners }: CarryOptions) {
  const notes: Saying[] = [];
  const extra: Extra[] = [];
  const names = whole.files.map(({ name }) => name);
  const drives: Drive[] = [];
  for (const drive of config.drives) {
    const { path: file } = drive;
    if (file === null || isInside(file)) {
      drives.push(drive);
      continue;
    }
    const there = await stat(file).then(
      (info) => info.isFile() || info.isBlockDevice(),
      () => false,
    );
    const beside = path.basename(file);
    if (!there && names.includes(beside)) {
      notes.push(say('noteBeside', { drive: drive.id, path: file, beside }));
      drives.push({ ...drive, path: beside });
    } else if (!there && drive.kind !== 'disk') {
      notes.push(say('noteGone', { drive: drive.id, path: file }));
      drives.push({ ...drive, path: null });
    } else if (!there) {
      notes.push(say('noteGoneDisk', { drive: drive.id, path: file }));
      drives.push(drive);
    } else if (outside === 'keep' || (outside === 'copyDisks' && drive.kind !== 'disk')) {
      notes.push(await outsideNote({ ...drive, path: file }, owners));
      drives.push(drive);
    } else if (drive.kind === 'disk') {
      const to = freeFileName(beside, names);
      names.push(to);
      const below = await imagesBelow(file, drive.format).catch(() => []);
      extra.push({ from: file, to, bytes: await copyBytes(file, drive.format), drive: below.length ? drive : undefined });
      notes.push(say('noteCopied', { drive: drive.id, path: file }));
      drives.push({ ...drive, path: to });
    } else {
      notes.push(say('noteStays', { drive: drive.id, path: file }));
      drives.push({ ...drive, path: null });
    }
  }
  return { drives, extra, notes };
}

async function settleKernel(
  folder: string,
  boot: VmConfig['boot'],
  selfContained: boolean,
  extra: Extra[],
  notes: Saying[],
  whole: WholeFolder,
): Promise<VmConfig['boot']> {
  const { kernel } = boot;
  if (!kernel) return boot;
  const names = [...whole.files.map(({ name }) => name), ...extra.map(({ to }) => to)];
  const settle = async (file: string): Promise<string> => {
    if (isInside(file)) return file;
    const beside = path.basename(file);
    if (names.includes(beside) && !(await stat(file).catch(() => undefined))) {
      notes.push(say('noteKernelBeside', { path: file, beside }));
      return beside;
    }
    if (!selfContained) return file;
    const to = freeFileName(beside, names);
    names.push(to);
    extra.push({ from: path.resolve(folder, file), to, bytes: await allocatedBytes(file), drive: undefined });
    return to;
  };
  return {
    ...boot,
    kernel: { ...kernel, path: await settle(kernel.path), initrd: kernel.initrd === null ? null : await settle(kernel.initrd) },
  };
}

/** Disks in the folder with an image below them that is not, by their names. */
async function chainsOutside(folder: string, drives: readonly Drive[]): Promise<Map<string, Drive>> {
  const found = new Map<string, Drive>();
  for (const drive of drives) {
    if (drive.kind !== 'disk' || drive.path === null || !isInside(drive.path)) continue;
    const below = await imagesBelow(path.resolve(folder, drive.path), drive.format).catch(() => []);
    if (!below.some((lower) => !isBelow(path.resolve(folder), lower))) continue;
    const { snapshots } = await readImageFacts(path.resolve(folder, drive.path));
    if (snapshots)
      throw new HypervueError(
        'unsupported',
        say('outsideSnapshots', { path: drive.path, count: snapshots }),
        { path: path.resolve(folder, drive.path), operation: 'copy' },
        say('fixOutsideSnapshots'),
      );
    found.set(path.normalize(drive.path), drive);
  }
  return found;
}

/** Room that everything in a folder takes, bytes; what can't be looked at counts nothing. */
export async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []))
    if (entry.isFile())
      bytes += await lstat(path.join(entry.parentPath, entry.name)).then(
        ({ blocks }) => blocks * 512,
        () => 0,
      );
  return bytes;
}
